"""A finished data set checked from outside, by what it says of itself."""
