"""One module per DVC stage, in the order of dvc.yaml; a stage imports pipeline, never a sibling."""

import os

# Before numpy is loaded. The curation line uses every core by processes: in small products a second
# thread of OpenBLAS does not halve the time, it waits, and waiting it burns a core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
