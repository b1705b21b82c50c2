"""One folder per system that is trained."""
