"""Faults on purpose, and what is left of a run after each of them: `make chaos`."""
