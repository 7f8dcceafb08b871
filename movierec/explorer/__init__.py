"""The explorer: pages in a browser that ask a model server and show its answers."""
