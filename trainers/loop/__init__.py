"""The training loop and all it is made of."""
