"""Faces: detection and landmarks, tracks, smoothing, the aligned crop."""
