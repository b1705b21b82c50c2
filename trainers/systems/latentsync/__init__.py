"""LatentSync: a lip-sync diffusion model."""
