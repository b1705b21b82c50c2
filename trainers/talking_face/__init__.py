"""What a trained talking-face model is, whichever system it is of; what such models share."""
