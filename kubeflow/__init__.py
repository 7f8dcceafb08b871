"""Running the pipeline on Kubeflow Pipelines and Vertex AI, and serving its models in a cluster."""

import os

# As in `pipeline`: the command of a step imports TFX before anything of that package.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
