"""The training loop of the DVC stages: task interface, step, checkpoints, metrics, options."""
