"""`python -m movierec` is the `movierec` command."""

from movierec.cli.app import main

main()
