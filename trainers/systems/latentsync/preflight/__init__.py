"""Checks of data, files, sizes and, if asked for, one batch before the diffusion model trains."""
