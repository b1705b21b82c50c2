"""The judge compatible with syncnet_python: mouth pictures against MFCC."""
