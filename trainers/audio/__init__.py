"""Mel spectrograms and their windows per video frame."""
