"""Tutorials: scripts in cells, to run from the top of the repository or open as notebooks.

.venv/bin/python -m docs.tutorials.gradient_descent
"""
