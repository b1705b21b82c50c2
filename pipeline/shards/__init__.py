"""The WebDataset tars: offset correction, packing, reading, data set card."""
