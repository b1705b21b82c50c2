"""What a run costs at sizes that nobody has run here: the driver simulated, the rest computed."""
