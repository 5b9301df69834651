"""Which etcd is found, and what is said of one that will not do."""

from pathlib import Path

import pytest

from swarmd.errors import CannotBootError
from swarmd.etcd_program import EtcdProgram, find_etcd, why_no_manager


def install(directory: Path, *lines: str) -> Path:
    """An `etcd` that does this, alone on PATH."""
    path = directory / "etcd"
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return path


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("version", ["3.4.0", "3.4.23", "3.5.16", "3.6.0-rc.4", "4.0.1", "10.0.0"])
def test_one_that_is_recent_enough_is_found(directory: Path, version: str):
    path = install(directory, f"echo 'etcd Version: {version}'; echo 'Git SHA: x'")
    assert EtcdProgram(str(path), version.partition("-")[0]) == find_etcd()
    assert "" == why_no_manager("auto")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("echo 'etcd Version: 3.3.25'",), "is etcd 3.3.25: 3.4 or newer is needed"),
        (("echo hello",), "is etcd of no version that it tells: 3.4 or newer is needed"),
        (("exit 3",), "is etcd of no version that it tells"),
        (("printf '\\377\\376'",), "is etcd of no version that it tells"),
    ],
)
def test_another_is_named_with_what_is_needed(directory: Path, lines: tuple[str, ...], said: str):
    path = install(directory, *lines)
    with pytest.raises(CannotBootError) as refused:
        find_etcd()
    assert f"{path} {said}" in str(refused.value)


def test_what_cannot_be_run_is_named(directory: Path):
    path = directory / "etcd"
    path.write_bytes(b"\x7fELF no program")
    path.chmod(0o755)
    with pytest.raises(CannotBootError, match="does not tell its version"):
        find_etcd()


def test_where_there_is_none_it_says_what_to_install(directory: Path):
    with pytest.raises(CannotBootError, match="none on PATH: install it"):
        find_etcd()
    install(directory, "echo 'etcd Version: 3.4.23'")
    assert "3.4.23" == find_etcd().version


def test_it_is_asked_once_until_it_is_another(directory: Path):
    path = install(directory, f"echo run >> {directory}/asked; echo 'etcd Version: 3.3.1'")
    for _ in range(3):
        assert "3.3.1" in why_no_manager("auto")
    assert "run\n" == (directory / "asked").read_text()
    path.write_text(path.read_text().replace("3.3.1", "3.5.10"))
    assert "" == why_no_manager("auto")


def test_an_option_that_forbids_other_managers_is_named(directory: Path):
    install(directory, "echo 'etcd Version: 3.4.23'")
    assert "--store sqlite" in why_no_manager("sqlite")
