"""`lipforge judge`: scores of videos without the line."""
