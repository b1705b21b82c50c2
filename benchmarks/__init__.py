"""Comparisons with the peer or the limit, in one run, as ratios."""
