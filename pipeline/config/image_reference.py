"""References to images of containers."""

from __future__ import annotations

import re

# The first part of an image's name is a host only if it cannot be a part of a path.
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"((localhost|{_LABEL}(\.{_LABEL})+|\[[0-9A-Fa-f:]+\])(:\d+)?|{_LABEL}:\d+)"
_COMPONENT = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"({_HOST}/)?{_COMPONENT}(/{_COMPONENT})*"
    r"(:(?P<tag>\w[\w.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?",
    re.ASCII,
)
_MOVING_TAG = "latest"


def image_problem(image: str, example: str) -> str | None:
    """Why a reference does not name one build of an image; None if it does.

    Args:
        image: the reference.
        example: of one that does.
    """
    found = _REFERENCE.fullmatch(image)
    if found is None:
        return (
            f"no name of an image; expected one as {example}, whose path has lower-case letters "
            f"and digits, and ., _ or - between them"
        )
    if found["digest"] is not None or found["tag"] not in (None, _MOVING_TAG):
        return None
    kind = "a tag or a digest" if found["tag"] is None else "a tag that stays the same"
    return f"{kind} is expected, as in {example}, so that whatever starts it runs the same build"
