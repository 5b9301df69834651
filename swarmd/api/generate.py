"""Make the Python code of protos/*.proto: `python swarmd/api/generate.py`.

Needs the packages of the `test` extra (grpcio-tools, mypy-protobuf).
"""

import sys
from pathlib import Path

PACKAGE = Path("swarmd/api/protos")
ROOT = Path(__file__).resolve().parents[2]


def generate(root: Path, out: Path) -> None:
    """Write the code of every .proto below `root` into the same places below `out`.

    Raises RuntimeError when protoc refuses a file; its own words are on stderr.
    """
    import grpc_tools  # noqa: PLC0415 - a tool of developers, not of operators
    from grpc_tools import protoc  # noqa: PLC0415

    made = ("python", "grpc_python", "mypy", "mypy_grpc")
    protos = sorted(str(path.relative_to(root)) for path in (root / PACKAGE).glob("*.proto"))
    options = [f"--{kind}_out={'quiet:' if 'mypy' in kind else ''}{out}" for kind in made]
    google = Path(grpc_tools.__file__).parent / "_proto"
    if protoc.main(["protoc", f"-I{root}", f"-I{google}", *options, *protos]) != 0:
        message = f"protoc refused the files in {root / PACKAGE}"
        raise RuntimeError(message)


if __name__ == "__main__":
    generate(ROOT, ROOT)
    sys.exit(0)
