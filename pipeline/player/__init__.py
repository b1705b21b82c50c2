"""Clips that play inside a page: small re-encodes, timelines, the script that joins them."""
