"""`python -m pipeline` is the `movierec` command."""

from pipeline.cli import main

main()
