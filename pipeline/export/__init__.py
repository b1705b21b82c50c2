"""Finished shards in the layouts that other trainers and loaders read: `lipforge export`."""
