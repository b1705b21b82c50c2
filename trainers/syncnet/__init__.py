"""StableSyncNet: items, loss, training, the published protocol."""
