"""Sync judges: how many frames sound and lips are apart, and how sure that is."""
