"""One module per family of layouts; `pipeline.export.registry` lists them."""
