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
