"""Runs the pipeline on Kubeflow Pipelines and Vertex AI, and serves its models in a cluster."""

import os

# The command of a step imports TFX before the package `pipeline`, which sets this variable too.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
