"""What `select` decides: thresholds, who speaks, near-duplicates, splits."""
