"""What `make image-check` finds wrong with an environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeflow.image.check import check_packages
from pipeline.config.errors import UserError

LOCK = "requirements.lock"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment with one requirement and the project, and the context it was built from."""
    context, site = tmp_path / "context", tmp_path / "lib" / "python3.11" / "site-packages"
    for folder in (context, site):
        (folder / "models").mkdir(parents=True)
        (folder / "models" / "code.py").write_text("x = 1\n", encoding="utf-8")
    (context / LOCK).write_text(
        "Some_Thing==1.0 \\\n    --hash=sha256:00\n    # via movierec\n", encoding="utf-8"
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    for name in ("some-thing", "movierec"):
        install(tmp_path, name)
    return tmp_path


def install(environment: Path, name: str, *tags: str) -> None:
    folder = environment / "lib" / "python3.11" / "site-packages" / f"{name}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\n", encoding="utf-8")
    wheel = ["Wheel-Version: 1.0", *(f"Tag: {tag}" for tag in tags or ("py3-none-any",)), "", ""]
    (folder / "WHEEL").write_text("\n".join(wheel), encoding="utf-8")


def add(environment: Path, name: str, *tags: str) -> None:
    """Installs a distribution that is locked, too."""
    install(environment, name, *tags)
    with (environment / "context" / LOCK).open("a", encoding="utf-8") as lock:
        lock.write(f"{name}==1.0 \\\n")


def test_what_the_lock_names_and_the_project(
    environment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_packages(environment, environment / "context", LOCK)
    assert "1 locked packages and the project are there" in capsys.readouterr().out


def test_a_package_that_is_not_locked(environment: Path) -> None:
    install(environment, "hatchling")
    with pytest.raises(UserError, match="not installed: none; installed beyond it: hatchling"):
        check_packages(environment, environment / "context", LOCK)


def test_a_package_that_is_missing(environment: Path) -> None:
    lock = environment / "context" / LOCK
    lock.write_text(lock.read_text("utf-8") + "other==2 \\\n", encoding="utf-8")
    with pytest.raises(UserError, match="not installed: other; installed beyond it: none"):
        check_packages(environment, environment / "context", LOCK)


def test_what_was_compiled_on_this_machine(environment: Path) -> None:
    add(environment, "second", "cp311-cp311-linux_x86_64")
    add(environment, "first", "py3-none-linux_x86_64", "py2-none-linux_x86_64")
    message = r"^compiled on this machine, [^\n]*: first, second; expected [^\n]* manylinux wheel$"
    with pytest.raises(UserError, match=message):
        check_packages(environment, environment / "context", LOCK)


@pytest.mark.parametrize(
    "tags",
    [
        ("cp311-abi3-manylinux_2_17_x86_64",),
        ("cp311-cp311-manylinux1_x86_64", "cp311-cp311-linux_x86_64"),
        ("cp311-cp311-musllinux_1_2_x86_64",),
        ("py2-none-any", "py3-none-any"),
    ],
)
def test_a_published_wheel(tags: tuple[str, ...], environment: Path) -> None:
    add(environment, "other", *tags)
    check_packages(environment, environment / "context", LOCK)


def test_a_build_tool(environment: Path) -> None:
    (environment / "bin" / "pip").touch()
    with pytest.raises(UserError, match=r"build tools are left: pip$"):
        check_packages(environment, environment / "context", LOCK)


@pytest.mark.parametrize("installed", [None, "x = 2\n"])
def test_a_file_of_the_project_that_is_missing_or_another(
    installed: str | None, environment: Path
) -> None:
    file = environment / "lib" / "python3.11" / "site-packages" / "models" / "code.py"
    file.unlink()
    if installed is not None:
        file.write_text(installed, encoding="utf-8")
    with pytest.raises(UserError, match=r"^models/code\.py is not in the image, or differs"):
        check_packages(environment, environment / "context", LOCK)
