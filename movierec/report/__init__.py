"""The report on a run, one HTML file, and the comparison of two runs."""

from typing import Final

REPORT_FILE: Final = "report.html"
"""The report in the folder of its run."""
