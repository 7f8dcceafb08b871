"""What has become of a process that another process started."""

from pathlib import Path


def runs(pid: int) -> bool:
    """One that has ended and that nobody asked about does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text("utf-8")
    except FileNotFoundError:
        return False
