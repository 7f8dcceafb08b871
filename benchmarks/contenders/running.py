"""Runs contenders as processes on one core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.contenders.measuring import Measured

_ROOT = Path(__file__).parents[2]
PEERS_PYTHON = _ROOT / ".peers" / "bin" / "python"
_IN_PEERS = ("surprise_svd", "cornac_mf", "my_fm", "numba_sgd", "implicit_als")

_ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# Of about twenty settings of Surprise's SVD, the one with the lowest RMSE on a tenth of the
# training ratings of folds 1, 3 and 5. Of equal ones it is the cheapest.
TUNED_SVD = {"n_factors": 150, "n_epochs": 35, "lr_all": 0.012, "reg_all": 0.1}


def require_peers() -> None:
    """Checks that the libraries to compare with are installed.

    Raises:
        SystemExit: They are not.
    """
    if not PEERS_PYTHON.exists():
        raise SystemExit(
            f"{PEERS_PYTHON}: does not exist; `make peers` installs the other libraries"
        )


def run(name: str, archive: Path, settings: dict[str, Any], console: Console) -> Measured:
    """Runs a contender on the first core that this process may use.

    Args:
        name: Name of a module in `benchmarks.contenders`.
        archive: File of the ratings to train on.
        settings: Settings that the module's `main` documents.
        console: Console that shows which contender runs.

    Raises:
        subprocess.CalledProcessError: The contender failed, and has printed the reason.
    """
    with console.status(f"{name} on {archive.stem}"):
        core = min(os.sched_getaffinity(0))
        result = subprocess.run(
            [
                str(PEERS_PYTHON) if name in _IN_PEERS else sys.executable,
                "-m",
                f"benchmarks.contenders.{name}",
                str(archive),
                json.dumps(settings),
            ],
            stdout=subprocess.PIPE,
            check=True,
            cwd=_ROOT,
            env={**os.environ, **_ONE_CORE},
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    return Measured(**json.loads(result.stdout.splitlines()[-1]))
