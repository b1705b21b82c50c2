"""Features beside the shards: layout, writing, reading."""
