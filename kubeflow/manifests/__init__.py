"""Kubernetes manifests that serve a pushed model in a cluster."""
