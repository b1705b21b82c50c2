"""The claims of the field, repeated in small: what is claimed, by whom, and what came out here."""
