"""SWMBKP keys: shown, typed in again, and refused without being repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.errors import InvalidArgumentError
from swarmd.security import recovery_key


@given(st.binary(min_size=32, max_size=32))
def test_a_key_that_was_shown_is_read_back(key: bytes) -> None:
    assert key == recovery_key.parse(f"  {recovery_key.show(key)}\n")


def test_no_two_keys_are_alike() -> None:
    assert recovery_key.mint() != recovery_key.mint()


@pytest.mark.parametrize(
    "text", ["", "SWMBKP-1-", "SWMBKP-1-AAAA", "SWMBKP-1-%", "SWMKEY-1-" + 43 * "A"]
)
def test_what_is_no_key_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        recovery_key.parse(text)
    assert "invalid recovery key: it has the form SWMBKP-1-…" == str(raised.value)
