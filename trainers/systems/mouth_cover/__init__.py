"""Training of the bundled classifier of covered mouths: synthetic covers on real faces."""
