"""One folder per trained system: network, items, losses, task, training, files."""
