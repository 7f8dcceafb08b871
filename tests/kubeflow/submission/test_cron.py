import pytest

from kubeflow.submission.cron import for_target
from kubeflow.targets import Target
from pipeline.config.errors import UserError


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("0 3 * * 1", "0 3 * * 1"),
        ("  */15   0-23/2 1,15 jan-MAR * ", "*/15 0-23/2 1,15 jan-MAR *"),
        ("59 23 31 12 6", "59 23 31 12 6"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        # The Mondays of February, whatever days of the month there are.
        ("0 0 31 2 MON", "0 0 31 2 MON"),
        ("0 0 31 2,3 *", "0 0 31 2,3 *"),
    ],
)
def test_five_fields_are_taken_and_seconds_put_before_them(text: str, fields: str) -> None:
    assert for_target(text, Target.VERTEX) == fields
    assert for_target(text, Target.KFP) == f"0 {fields}"


@pytest.mark.parametrize("prefix", ["TZ=", "CRON_TZ="])
def test_a_time_zone_is_for_vertex_alone(prefix: str) -> None:
    text = f"{prefix}Europe/Berlin 0 3 * * 1"
    assert for_target(text, Target.VERTEX) == "TZ=Europe/Berlin 0 3 * * 1"
    with pytest.raises(UserError, match="kfp takes no time zone"):
        for_target(text, Target.KFP)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 fields; expected five"),
        ("0 3 * *", "4 fields; expected five"),
        ("0 0 3 * * 1", "6 fields; expected five"),
        ("@daily", "1 fields; expected five"),
        ("60 3 * * 1", "minute 60; expected 0-59"),
        ("0 24 * * 1", "hour 24; expected 0-23"),
        ("0 3 0 * 1", "day of the month 0; expected 1-31"),
        ("0 3 * 13 1", "month 13; expected 1-12 or JAN-DEC"),
        ("0 3 * * 7", "day of the week 7; expected 0-6 or SUN-SAT"),
        ("0 3 * * MOON", "day of the week MOON; expected"),
        ("0 3 * * 5-1", "day of the week 5-1; nothing is in it"),
        ("*/0 3 * * 1", "minute */0; nothing is in it"),
        ("5/10 3 * * 1", "minute 5/10; expected *, N, N-M, */N or N-M/N"),
        ("0 3 ? * 1", "day of the month ?; expected"),
        ("0,,5 3 * * 1", "minute ; expected"),
        ("-5 3 * * 1", "minute -5; expected"),
        ("² 3 * * 1", "minute ²; expected"),
        ("0 3 30 2 *", "there is no such day in any of these months"),
        ("0 3 31 4,6,9,11 *", "there is no such day in any of these months"),
        ("TZ=Mars/Base 0 3 * * 1", "Mars/Base is no time zone"),
        ("TZ=../../etc 0 3 * * 1", "../../etc is no time zone"),
    ],
)
def test_anything_else_is_refused(text: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        for_target(text, Target.VERTEX)
    assert str(raised.value).startswith(f"--cron {text}: ")
    assert message in str(raised.value)
