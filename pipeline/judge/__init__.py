"""Sync judges: audio-visual offset of a face, with its confidence."""
