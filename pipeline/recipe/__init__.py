"""What may be published of a finished data set, and the data set rebuilt from it and the films."""
