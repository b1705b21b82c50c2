"""Precomputed Whisper features in tars beside the shards: layout, writing, reading."""
