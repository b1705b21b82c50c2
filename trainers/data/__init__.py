"""The data loader of all trainers: shards -> batches, a pure function of seed and step."""
