import re
from pathlib import Path

import pytest

from pipeline.config.tree import known_keys, load_config

ROOT = Path(__file__).parents[2]


def test_every_key_is_documented_with_its_default() -> None:
    table = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\S+)` \| (.*?) ?\|", table, flags=re.MULTILINE))
    assert list(rows) == list(known_keys())
    defaults = load_config().model_dump(mode="json")
    for key, default in rows.items():
        section, name = key.split(".")
        assert default.strip("`") == shown(defaults[section][name]), key


def shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return "none"
    return "" if value is None else str(value)


@pytest.mark.parametrize("page", ["README.md", *(p.name for p in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page if page == "README.md" else ROOT / "docs" / page
    for target in re.findall(r"\]\((?!http)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
