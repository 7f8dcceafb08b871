"""TFX components that TFX itself lacks, one package each."""
