"""Checks of data, recipe and one batch before StableSyncNet is trained."""
