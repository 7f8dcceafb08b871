"""Compiles the pipeline to a file that Kubeflow Pipelines or Vertex AI runs."""
