"""The report on a run, one HTML file, and the comparison of two runs."""
