import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CODE = """
import sys
import pipeline
from pipeline.lean_imports import lean_imports

with lean_imports():
    from pipeline import graph, metadata
unused = {"kubernetes", "keras_tuner", "keras", "pymongo", "sklearn"}
print(sorted(unused & sys.modules.keys()))

import keras_tuner, kubernetes, sklearn
import tensorflow_model_analysis as tfma
print(tfma.load_metrics.__name__, tfma.view.render_slicing_metrics.__name__)
from tfx.components.tuner.component import Tuner
print(Tuner.__name__)
"""


@pytest.mark.slow
def test_what_no_step_uses_is_left_out_and_can_be_imported_later() -> None:
    result = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, cwd=ROOT
    )
    lines = result.stdout.splitlines()
    assert lines[-3:] == ["[]", "load_metrics render_slicing_metrics", "Tuner"]
