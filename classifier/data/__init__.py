"""From the files in data/ to batches of tensors."""
