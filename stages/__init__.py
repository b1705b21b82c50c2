"""One module per DVC stage, in the order of dvc.yaml; a stage imports pipeline, never a sibling."""
