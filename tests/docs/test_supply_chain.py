"""What docs/supply-chain.md says of the locked packages, held against what they say themselves."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "supply-chain.md").read_text(encoding="utf-8")
# As packages write them: expressions of SPDX, classifiers and free text.
ASKS_NOTHING_MORE = re.compile(
    r"Apache(-2\.0| 2\.0| License 2\.0| Software License)"
    r"|BSD(-[23]-Clause| License)|3-Clause BSD License"
    r"|MIT(-0|-CMU| License)?|ISC( License \(ISCL\))?|OSI Approved"
)


def locked() -> dict[str, str]:
    """Versions of the packages in requirements.lock, by name."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", text, re.MULTILINE))


def licences(package: str) -> list[str]:
    """What a package says of its licence; nothing if it is silent."""
    said = metadata.metadata(package)
    if expression := said["License-Expression"]:
        return re.split(r" AND | OR ", expression.replace("(", "").replace(")", ""))
    classifiers = said.get_all("Classifier") or []
    found = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")]
    return found or [line.strip() for line in (said["License"] or "").splitlines()[:1]]


def rows(heading: str) -> dict[str, list[str]]:
    """The further cells of each row of a section's table, by what the first cell names."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return {name: others for first, *others in cells[2:] for name in first.split(", ")}


def test_every_licence_that_asks_for_more_is_named() -> None:
    packages = locked()
    assert len(packages) > 150
    more = {
        name
        for name in packages
        if not (said := licences(name)) or not all(map(ASKS_NOTHING_MORE.fullmatch, said))
    }
    assert set(rows("Licences")) == more


def test_no_package_is_under_a_copyleft_licence_of_whole_programs() -> None:
    found = {name: licences(name) for name in locked()}
    assert {
        name for name, said in found.items() if re.search(r"GPL|Affero", " ".join(said))
    } == set()


def test_the_pins_with_advisories_are_those_of_the_lock() -> None:
    packages = locked()
    named = [row.rpartition(" ")[::2] for row in rows("Known vulnerabilities")]
    assert len(named) > 5
    for name, version in named:
        assert packages[name].startswith(version), name
