"""Networks that the trainers fit or use frozen, one model per file."""
