"""Types of what TFX hands to the `Do` method of an executor."""

from __future__ import annotations

from typing import Any

from tfx import types

Artifacts = dict[str, list[types.Artifact]]
"""Input or output artifacts of a step, by key."""

Properties = dict[str, Any]
"""Execution properties of a step, by key."""
