"""Running the pipeline on Kubeflow Pipelines and Vertex AI, and serving its models in a cluster."""
