"""Losses of the lip-sync diffusion model, one per file: pure functions on tensors."""
