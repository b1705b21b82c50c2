"""What is looked at before StableSyncNet is trained."""
