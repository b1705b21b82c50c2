"""Latents of plain and masked frames, made once beside the shards: writing, reading, drawing."""
