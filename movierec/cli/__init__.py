"""The `movierec` command, one file a subcommand."""
