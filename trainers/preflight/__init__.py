"""What the checks before the training of any system share: splits, verdicts, one batch."""
