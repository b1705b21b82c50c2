"""The targets of speed and memory, each measured in one run: `python -m benchmarks.bench`."""
