import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

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
        return json.dumps(value) if value else "none"
    return "" if value is None else str(value)


PAGES = sorted((ROOT / "docs").glob("*.md"))


def links(page: Path) -> list[str]:
    """Paths of files and folders that a page links to, without anchors."""
    return re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_site_stay_inside_it(page: Path) -> None:
    assert [target for target in links(page) if target.startswith(("..", "/"))] == []


def test_the_site_and_its_index_list_every_page() -> None:
    names = {page.name for page in PAGES}
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert set(re.findall(r"[\w-]+\.md", json.dumps(site["nav"]))) == names
    assert set(links(ROOT / "docs" / "index.md")) >= names - {"index.md"}


def test_the_tests_of_each_fault_exist() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| (?!fault)\S", line)]
    assert len(rows) > 100
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert named, row
        for path, name in named:
            tests = (ROOT / path).read_text(encoding="utf-8")
            assert not name or f"def {name}(" in tests, (path, name)


def test_paths_for_contributors_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", text)
    paths = [name for name in named if not {"NAME.py", "site"} & set(name.split("/"))]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_a_citation_names_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
