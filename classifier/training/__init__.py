"""How a network's weights come about."""
