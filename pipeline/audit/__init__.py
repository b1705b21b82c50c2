"""`lipforge audit`: people label clips near the limits of `select`; what the limits are worth."""
