"""Where artifacts are: addresses of buckets, and the folders that stand for them on a machine."""
