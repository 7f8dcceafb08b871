"""Answering with a pushed model: model servers, their client, and a model in this process."""
