"""The page about training: reports/training.html."""
