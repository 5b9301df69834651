import pytest

from swarmd.supervision.exits import exit_text


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "exit status 0"),
        (78, "exit status 78"),
        (-9, "killed by SIGKILL"),
        (-11, "killed by SIGSEGV"),
        (-63, "killed by signal 63"),
    ],
)
def test_an_end_is_named_for_people(status, text):
    assert text == exit_text(status)
