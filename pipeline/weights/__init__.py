"""Model files: where they come from, their SHA-256, and reading them as data."""
