from pipeline.config.errors import listed


def test_names_stand_in_a_sentence() -> None:
    assert listed(["a"], "or") == "a"
    assert listed(["a", "b"], "and") == "a and b"
    assert listed(iter("abc"), "or") == "a, b or c"
