"""One process, torchrun or Ray Train; graceful stop."""
