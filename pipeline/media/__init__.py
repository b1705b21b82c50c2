"""Pictures and sound of one file: probe, frames at 25 fps, audio at 16 kHz, encode, shots."""
