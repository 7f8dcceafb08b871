"""The recommender pipeline: its configuration, its graph, its runners and its command line."""
