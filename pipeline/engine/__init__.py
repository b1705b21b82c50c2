"""Runs a stage over items: outcomes, runners, the item cache, tables."""
