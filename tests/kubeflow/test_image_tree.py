"""Small Dockerfiles, carried out in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeflow.image import context, dockerfile
from kubeflow.image.tree import Image, Tree
from pipeline.config.errors import UserError


def build(tmp_path: Path, text: str, **arguments: str) -> tuple[Image, Tree, list[str]]:
    path = tmp_path / "Dockerfile"
    path.write_text(text, encoding="utf-8")
    said: list[str] = []
    (tmp_path / "scratch").mkdir()
    source = tmp_path / "context"
    source.mkdir(exist_ok=True)
    tree = Tree(tmp_path / "root", tmp_path / "scratch", source, tmp_path / "log", said.append)
    return tree.build(dockerfile.read(path), "tools", arguments), tree, said


def test_a_dockerfile_in_stages(tmp_path: Path) -> None:
    (tmp_path / "context" / "folder").mkdir(parents=True)
    (tmp_path / "context" / "folder" / "inner").write_text("inner", encoding="utf-8")
    (tmp_path / "context" / "one.lock").write_text("one", encoding="utf-8")
    (tmp_path / "context" / "two.lock").write_text("two", encoding="utf-8")
    image, tree, said = build(
        tmp_path,
        "# a comment\n"
        "FROM base:1 AS tools\n"
        "WORKDIR /src\n"
        "RUN no-such-program\n"
        "FROM tools AS maker\n"
        "ARG INDEX\n"
        "ARG LOCK=one.lock\n"
        "ENV A=1 \\\n"
        "# a comment between\n"
        "    PLACE=/opt/made\n"
        "COPY ${LOCK} the.lock\n"
        "COPY folder copied/\n"
        'RUN mkdir -p "$PLACE" && \\\n'
        '    echo "$A $LOCK ${INDEX-none}" > "$PLACE/file"\n'
        "FROM base:1\n"
        "RUN useradd somebody\n"
        "ENV HOME=/tmp PATH=/opt/made/bin:$PATH\n"
        "COPY --from=maker /src/copied /opt/made\n"
        "USER 7:7\n"
        "WORKDIR /tmp/deep\n"
        'ENTRYPOINT ["run", "it"]\n',
        LOCK="two.lock",
    )
    made = tmp_path / "root" / "opt" / "made"
    assert (tmp_path / "root" / "src" / "the.lock").read_text("utf-8") == "two"
    assert (made / "file").read_text("utf-8") == "1 two.lock none\n"
    assert (made / "inner").read_text("utf-8") == "inner"
    assert image.entrypoint == ("run", "it")
    assert image.folder == tmp_path / "scratch" / "deep"
    variables = dict(image.environment)
    first, *others = variables.pop("PATH").split(":")
    assert first == str(made / "bin")
    assert "/usr/bin" in others, "the system's programs are the machine's"
    assert variables == {"HOME": str(tmp_path / "scratch")}, "nothing of other stages"
    assert tree.here("/opt/made") == made
    assert [line for line in said if line.startswith("left out")] == [
        "left out, of the image's system: RUN useradd somebody",
        "left out, of the image's system: USER 7:7",
    ]


def test_commands_are_kept_from_the_environment_of_the_one_who_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/of/somebody")
    monkeypatch.setenv("PYTHONPATH", "/of/somebody")
    monkeypatch.setenv("UV_INDEX_URL", "file:///an/index")
    build(
        tmp_path,
        'FROM b AS m\nWORKDIR /w\nRUN echo "${VIRTUAL_ENV-no} ${PYTHONPATH-no} $UV_INDEX_URL"'
        ' > out\nFROM b\nENTRYPOINT ["x"]\n',
    )
    said = (tmp_path / "root" / "w" / "out").read_text("utf-8")
    assert said == "no no file:///an/index\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("COPY absent ./", "absent is missing, or .dockerignore keeps it out"),
        ("RUN echo fine && echo 'no room left' && exit 3", "exit code 3: no room left; all that"),
        ("ADD absent ./", "ADD absent ./: not known here"),
    ],
)
def test_what_goes_wrong_is_one_line(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^[^\n]*$") as caught:
        build(tmp_path, f"FROM b AS m\nWORKDIR /w\n{line}\nFROM b\n")
    assert message in str(caught.value)


def test_a_dockerfile_begins_with_from(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected FROM IMAGE"):
        build(tmp_path, "RUN true\n")


def test_what_dockerignore_lets_through(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    for name in ("kept", "other", "code/a.py", "code/deep/b.py", "code/deep/cache/c", "code/notes",
                 "big/x/y", "code/deep/notes"):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    (root / ".dockerignore").write_text(
        "# a comment\n*\n!kept\n!code\n\ncode/notes\n**/cache\n", encoding="utf-8"
    )
    expected = {"kept", "code/a.py", "code/deep/b.py", "code/deep/notes"}
    assert {str(path) for path in context.files(root)} == expected
    context.copy(root, tmp_path / "copy")
    copied = {file for file in (tmp_path / "copy").rglob("*") if file.is_file()}
    assert {str(file.relative_to(tmp_path / "copy")) for file in copied} == expected
    assert all(file.read_text("utf-8") in expected for file in copied)
