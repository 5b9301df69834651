"""Whose containers ours are, and in which engines they may be: two files of the state directory."""

from pathlib import Path
from random import Random

from swarmd import ids
from swarmd.state_dir import StateDir, replace_file


def owner(state_dir: StateDir, random: Random) -> str:
    """One name for as long as this state directory lives; raises OSError."""
    if not (found := known_owner(state_dir)):
        found = ids.new_id(random)
        _write(state_dir.containers_of, found)
    return found


def known_owner(state_dir: StateDir) -> str:
    """The name that was given; empty where no engine was ever used."""
    return _read(state_dir.containers_of)


def remember_engine(state_dir: StateDir, address: str) -> None:
    """From now on containers may be there; raises OSError."""
    found = engines(state_dir)
    if address not in found:
        _write(state_dir.container_engines, "\n".join([*found, address]))


def engines(state_dir: StateDir) -> list[str]:
    """The addresses of all engines that this node ever used."""
    return _read(state_dir.container_engines).splitlines()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, text.encode())
