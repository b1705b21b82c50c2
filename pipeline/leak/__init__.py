"""How much the place of a crop tells about the mouth."""
