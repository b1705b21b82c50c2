"""Trains the bundled landmark judge; `sync` runs its network: pipeline/judge/landmark."""
