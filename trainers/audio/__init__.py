"""What the networks hear: spectrograms and speech features, and their windows."""
