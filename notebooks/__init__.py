"""What demo.ipynb shows is in modules; the notebooks import them after `import root`."""
