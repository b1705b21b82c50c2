"""One process, torchrun or Ray Train; stopping with grace."""
