"""LatentSync: an audio-conditioned latent diffusion model for lip sync."""
