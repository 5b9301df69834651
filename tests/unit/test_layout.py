"""House rules: layers hold, files stay short, every room has a docstring."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference import ROOT

MOST_LINES = 400
FILES = sorted(
    path
    for room in ("swarmd", "workers", "tests", "bench")
    for path in (ROOT / room).rglob("*.py")
    if "protos" not in path.parts or path.name == "__init__.py"
)
ROOMS = sorted(path for path in FILES if path.name == "__init__.py")
VAGUE = {"utils", "util", "helpers", "common", "misc", "manager2"}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_a_file_is_short_and_says_what_it_is(path: Path):
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert ast.get_docstring(ast.parse(text)) or path.is_relative_to(ROOT / "tests")
    assert path.stem not in VAGUE


@pytest.mark.parametrize("path", ROOMS, ids=_name)
def test_a_room_names_every_file_in_it(path: Path):
    here = {other.stem for other in path.parent.glob("*.py")} - {"__init__", "__main__"}
    rooms = {other.parent.name for other in path.parent.glob("*/__init__.py")}
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    top = path.parent in (ROOT / "swarmd", ROOT / "swarmd/api", ROOT / "swarmd/api/protos")
    missing = {name for name in here | rooms if name not in text} if not top else set()
    assert set() == missing


def test_imports_point_down():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout


def test_the_parent_imports_no_grpc_and_no_crypto():
    heavy = ("grpc", "cryptography", "google.protobuf", "supervisor", "rich", "_ssl", "_hashlib")
    code = (
        "import sys; sys.argv[1:] = ['run', '--help']; from swarmd.__main__ import run\n"
        "try: run()\n"
        "except SystemExit: import swarmd.node.run\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "[]" == done.stdout.splitlines()[-1]
