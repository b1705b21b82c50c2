"""One loader for every trainer: shards in, batches out, `batch = f(seed, step)`."""
