"""`lipforge submit`: the line as a job of a Ray cluster, and its results brought back."""
