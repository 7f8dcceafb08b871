"""Runs the `movierec` command: `python -m movierec`."""

from movierec.cli.app import main

main()
