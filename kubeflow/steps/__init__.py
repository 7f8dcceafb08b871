"""The command of a compiled job's containers, and what it prepares for each step."""
