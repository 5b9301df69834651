"""swarmctl stack config: files as one, which can be read again."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from swarmd.ctl.main import main

FILE = """
services:
  web:
    image: host
    build: .
    command: echo $$HOME ${X:-x}
    env_file: web.env
    ports: ["80:80"]
"""
SHOWN = """services:
  web:
    command:
    - echo
    - $$HOME
    - x
    environment:
      A: '1'
    image: host
    ports:
    - protocol: tcp
      published: 80
      target: 80
version: '3.13'
"""


def config(*words: str, given: str = "") -> Result:
    return CliRunner().invoke(main, ["stack", "config", *words], input=given)


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "web.env").write_text("A=1\n")
    (tmp_path / "compose.yml").write_text(FILE)
    return str(tmp_path / "compose.yml")


def test_files_are_shown_filled_in_and_in_their_long_form(path: str):
    done = config("-c", path)
    assert SHOWN == done.stdout
    assert "warning: ignoring unsupported option build (web)\n" == done.stderr


def test_what_is_shown_is_read_as_the_same():
    assert SHOWN == config("-c", "-", given=SHOWN).stdout


def test_variables_can_stay_as_they_are(path: str):
    shown = config("-c", path, "--skip-interpolation").stdout
    assert "- $$HOME\n" in shown
    assert "- ${X:-x}\n" in shown


def test_an_error_is_one_line(path: str):
    done = config("-c", path, "-c", "/nowhere/compose.yml")
    assert 1 == done.exit_code
    assert "Error: cannot read /nowhere/compose.yml: No such file or directory\n" == done.stderr
    assert "Error: standard input:1: must be a mapping" in config("-c", "-", given="[]").stderr
