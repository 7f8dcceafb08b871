"""Kubernetes manifests for serving a pushed model in a cluster."""
