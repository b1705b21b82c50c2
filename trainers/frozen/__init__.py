"""Pretrained networks with frozen weights: a registry by name, and each network."""
