"""Tests of the sync judge."""
