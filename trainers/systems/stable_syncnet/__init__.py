"""StableSyncNet: cosine of a mouth clip and its sound; pre-flight, published protocol."""
