"""What `swarmd import` refuses before it reads anything."""

import pytest
from click.testing import CliRunner

from swarmd.cli.main import main


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "give either --state-dir or --from-socket"),
        (("--state-dir=/a", "--from-socket=/b"), 2, "give either --state-dir or --from-socket"),
        (("--state-dir=/a", "--secrets=/"), 2, "--secrets goes with --from-socket"),
        (("--state-dir=/nowhere",), 1, "/nowhere is not the state directory of SwarmKit's manager"),
        (("--from-socket=/nowhere",), 1, "no swarmd answers at /nowhere"),
    ],
)
def test_what_cannot_be_a_source_is_refused(tmp_path, words, status, said):
    done = CliRunner().invoke(main, ["import", f"--into={tmp_path / 'state'}", *words])
    assert status == done.exit_code
    assert said in done.output
    assert not (tmp_path / "state").exists()
