import pytest

from pipeline.accepted_drift import parse
from pipeline.config.errors import UserError


def test_names_may_be_repeated_or_listed() -> None:
    assert parse("--accept-drift", []) == ""
    assert parse("--accept-drift", [""]) == ""
    assert parse("--accept-drift", ["rating, users", "baseline", "users"]) == (
        "rating,users,baseline"
    )


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"--accept-drift all: expected ratings, .* or baseline"):
        parse("--accept-drift", ["rating,all"])
