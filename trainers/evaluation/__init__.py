"""Metrics on held-out clips: image similarity, landmark distance, sync, Fréchet distances."""
