"""`python -m pipeline`: the same as the `lipforge` command."""

from pipeline.cli import main

main()
