"""Dubbing: any video and any sound -> the video whose lips follow the sound."""
