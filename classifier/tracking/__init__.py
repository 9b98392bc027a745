"""Runs as Weights & Biases shows them."""
