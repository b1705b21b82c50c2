"""The generators of Yaman et al. (2024): G_S closes mouths, G_L speaks; one class, one task."""
