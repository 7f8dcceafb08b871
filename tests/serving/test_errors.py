from __future__ import annotations

from serving.errors import one_line


def test_a_text_from_elsewhere_fits_a_line() -> None:
    assert one_line("a\n\tb  c\r\n") == "a b c"
    assert one_line("\x1b[1mred") == "?[1mred"
    assert one_line("x" * 501) == "x" * 500 + "…"
    assert one_line("x" * 500) == "x" * 500
