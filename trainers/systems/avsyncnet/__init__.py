"""AVSyncNet: the sync network of Yaman et al. (2024), trained on pairs of picture and sound."""
