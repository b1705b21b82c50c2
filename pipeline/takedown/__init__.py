"""A source or a person taken out of shards, tables, features, reports, caches; with the proof."""
