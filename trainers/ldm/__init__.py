"""The lip-sync diffusion model: data, losses put together, sampling, files."""
