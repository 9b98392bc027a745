"""Runs as Git and DVC keep them, and the differences between them."""
