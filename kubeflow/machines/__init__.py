"""The GPUs and machines that platforms have, and those that training asks them for."""
