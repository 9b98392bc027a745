"""From tensors to probabilities: networks, their checkpoints, and their use."""
