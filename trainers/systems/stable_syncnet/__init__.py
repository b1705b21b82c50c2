"""StableSyncNet: network, items, loss, training, the published protocol."""
