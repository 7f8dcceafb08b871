"""The training loop, and the Trainer and Tuner steps that run it."""
