"""`index.json` and `exclude.json`, which lie beside the tars: read by all, written by few."""
