"""The demo corpus: rendered talking faces with ground truth."""
