"""The .proto files are SwarmKit's wire, and the code beside them is made from them."""

import subprocess
import sys
from pathlib import Path

import grpc_tools
import pytest
from grpc_tools import protoc

from swarmd.api.generate import PACKAGE, ROOT, generate
from tests.reference import shared


@pytest.fixture(scope="module")
def descriptor_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wire") / "set.bin"
    google = Path(grpc_tools.__file__).parent / "_proto"
    protos = [str(path) for path in sorted((ROOT / PACKAGE).glob("*.proto"))]
    arguments = ["protoc", f"-I{ROOT}", f"-I{google}", f"--descriptor_set_out={out}"]
    assert 0 == protoc.main([*arguments, *protos])
    return out


def test_every_message_and_method_is_that_of_the_table(descriptor_set: Path):
    check = shared("wire/check_wire.py")
    done = subprocess.run(
        [sys.executable, str(check), str(descriptor_set)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout


def test_the_committed_code_is_what_the_protos_make(tmp_path: Path):
    generate(ROOT, tmp_path)
    made = {path.name: path.read_text() for path in (tmp_path / PACKAGE).iterdir()}
    committed = {path.name: path.read_text() for path in (ROOT / PACKAGE).glob("*_pb2*")}
    assert sorted(made) == sorted(committed)
    stale = [name for name in made if _code(made[name]) != _code(committed[name])]
    assert [] == stale, "run python swarmd/api/generate.py"


def _code(text: str) -> list[str]:
    """The lines that count: the versions of the tools that made it are another machine's matter."""
    return [line for line in text.splitlines() if "ersion" not in line and "VERSION" not in line]
