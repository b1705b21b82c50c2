"""Trains the bundled landmark judge."""
