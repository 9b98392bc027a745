"""What a model's answers amount to."""
