"""A process with a spare one: FOLDER [killed]. It prints what the spare process answers."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from serving.launch.spare_process import SpareProcess


def answer(arguments: Sequence[str]) -> int:
    print(*arguments, os.read(0, 100), flush=True)
    return 3


def main() -> None:
    spare = SpareProcess(answer)
    Path(sys.argv[1], "pid").write_text(str(spare.pid))
    if "killed" in sys.argv:
        time.sleep(600)
    assert spare.poll() is None
    if "told" in sys.argv:
        spare.tell(["one", "two words"])
    spare.stdin.close()
    print(spare.stdout.read(), spare.wait(60), spare.poll())


if __name__ == "__main__":
    main()
