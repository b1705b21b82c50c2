"""Tests of trainers.systems.mouth_cover."""
