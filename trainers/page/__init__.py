"""The training report: reports/training.html."""
