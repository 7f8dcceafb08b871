"""The configuration: one frozen tree of validated sections."""
