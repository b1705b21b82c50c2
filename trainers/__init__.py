"""What trains: networks that pipeline uses are trained here."""
