import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from pipeline import lean_imports

ROOT = Path(__file__).parents[2]

CODE = """
import sys
import pipeline
from pipeline.lean_imports import lean_imports

with lean_imports():
    from pipeline import graph, metadata
# As AutoGraph does.
files = [hasattr(module, "__file__") for module in list(sys.modules.values())]
unused = {"kubernetes", "keras_tuner", "keras", "pymongo", "jedi", "nltk", "sklearn"}
# They are parts of what is loaded at its first use.
unused |= {"botocore", "google.cloud.bigquery.client", "google.pubsub_v1", "scipy.optimize"}
unused |= {"prompt_toolkit"}
print(sorted(unused & sys.modules.keys()))

import jedi, keras_tuner, kubernetes, nltk
import tensorflow_model_analysis as tfma
print(tfma.load_metrics.__name__, tfma.view.render_slicing_metrics.__name__)
from tfx.components.tuner.component import Tuner
from tensorflow_model_analysis.metrics.rouge import Rouge
print(Tuner.__name__, Rouge.__name__)

from apache_beam.io.aws.clients.s3 import boto3_client
from apache_beam.io.gcp import bigquery_tools, pubsub
from tensorflow_model_analysis.utils import math_util
print(boto3_client.boto3.client.__name__, bigquery_tools.gcp_bigquery.Client.__name__)
print(pubsub.pubsub.PublisherClient.__name__, round(math_util.stats.t.ppf(0.975, 10), 3))
"""


@pytest.mark.slow
def test_what_no_step_uses_is_left_out_and_can_be_used_later() -> None:
    result = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.splitlines()[-5:] == [
        "[]",
        "load_metrics render_slicing_metrics",
        "Tuner Rouge",
        "client Client",
        # The quantile of Student's t that tables have for 10 degrees of freedom.
        "PublisherClient 2.228",
    ]


def test_a_rarely_used_module_is_loaded_when_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rarely_used.py").write_text(
        "import rarely_used\n"
        "print('loaded, has answer:', hasattr(rarely_used, 'answer'))\n"
        "answer = 42\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lean_imports, "_RARELY_USED", frozenset({"rarely_used"}))
    with lean_imports.lean_imports():
        rarely_used = import_module("rarely_used")
    assert import_module("rarely_used").__file__ == str(tmp_path / "rarely_used.py")
    assert capsys.readouterr().out == ""
    assert rarely_used.answer == 42
    assert capsys.readouterr().out == "loaded, has answer: False\n"
    assert not hasattr(rarely_used, "question")
    del sys.modules["rarely_used"]


def test_a_rarely_used_module_that_fails_says_so_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "rarely_used.py").write_text("raise ImportError('no such library')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(lean_imports, "_RARELY_USED", frozenset({"rarely_used"}))
    with lean_imports.lean_imports():
        rarely_used = import_module("rarely_used")
    for _ in range(2):
        with pytest.raises(ImportError, match="no such library"):
            _ = rarely_used.answer
    del sys.modules["rarely_used"]
