"""Scripts in cells, to be run from the top of the repository or opened as notebooks.

.venv/bin/python -m docs.tutorials.gradient_descent
"""
