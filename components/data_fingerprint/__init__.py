"""Says which data a folder holds, so that a cached result of other data is not used."""
