"""What is measured on held-out clips: pictures, mouths, synchrony, distributions."""
