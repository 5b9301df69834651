"""Every command and flag of the Go programs is one of ours, with the same short form."""

import json
from collections.abc import Iterator
from typing import Any

import click
import pytest

from swarmd.cli.main import main as swarmd
from swarmd.ctl.main import main as swarmctl
from tests.reference import shared


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    return json.loads(shared("reference/swarmkit-cli.json").read_text())


def _commands(node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in node.get("commands", {}).items():
        yield from _commands(child, (*path, name))


def _ours(group: click.Command, path: tuple[str, ...]) -> click.Command:
    for name in path:
        assert isinstance(group, click.Group)
        found = group.get_command(click.Context(group), name)
        assert found is not None, f"no command {' '.join(path)}"
        group = found
    return group


def _check(command: click.Command, theirs: dict[str, Any]) -> None:
    flags = {opt: p for p in command.params for opt in (*p.opts, *p.secondary_opts)}
    for flag in theirs["flags"]:
        assert f"--{flag['name']}" in flags
        if "short" in flag:
            assert f"-{flag['short']}" in flags[f"--{flag['name']}"].opts


def test_swarmd_has_every_flag(reference: dict[str, Any]):
    _check(swarmd, reference["swarmd"])
    _check(
        swarmd.commands["run"],
        {"flags": [f for f in reference["swarmd"]["flags"] if f["name"] != "version"]},
    )


def test_swarmctl_has_every_command_and_flag(reference: dict[str, Any]):
    tree = reference["swarmctl"]
    for path in _commands(tree):
        theirs = tree
        for name in path:
            theirs = theirs["commands"][name]
        _check(_ours(swarmctl, path), theirs)


def test_swarmctl_knows_the_aliases(reference: dict[str, Any]):
    for noun, node in reference["swarmctl"]["commands"].items():
        for alias in node.get("aliases", ()):
            assert _ours(swarmctl, (alias,)) is _ours(swarmctl, (noun,))
        for verb, child in node.get("commands", {}).items():
            for alias in child.get("aliases", ()):
                assert _ours(swarmctl, (noun, alias)) is _ours(swarmctl, (noun, verb))
