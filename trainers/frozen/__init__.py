"""Frozen networks: a registry of names, and each network."""
