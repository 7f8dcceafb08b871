"""Running a compiled job on this machine: each task its own process, as a cluster would start it.

Nothing here imports TFX, TensorFlow or kfp: the tasks do.
"""
