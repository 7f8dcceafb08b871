"""Running the pipeline on Kubeflow Pipelines and Vertex AI."""
