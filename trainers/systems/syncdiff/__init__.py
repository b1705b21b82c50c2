"""SyncDiff: frame-wise latent diffusion with a bottleneck for the frame before."""
