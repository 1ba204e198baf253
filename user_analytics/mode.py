"""How much of the source a run reads."""

from typing import Literal

Mode = Literal["full", "incremental"]
"""All purchases as they are now, or those of the last days before the date."""
