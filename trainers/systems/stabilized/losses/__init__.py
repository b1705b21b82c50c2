"""The losses of Yaman et al., pure functions on tensors."""
