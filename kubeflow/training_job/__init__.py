"""Training on several machines of a Kubernetes cluster, as a TFJob of Kubeflow's operator."""
