"""What the pipeline is called."""

from typing import Final

PIPELINE_NAME: Final = "movierec"
