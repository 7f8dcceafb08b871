"""The `movierec` command: one file a subcommand, joined in `app.py`."""
