"""params.yaml and the environment, read and checked."""
