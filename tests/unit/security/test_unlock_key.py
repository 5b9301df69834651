"""Unlock keys, as SwarmKit writes them for people."""

from random import Random

import pytest

from swarmd.errors import InvalidArgumentError
from swarmd.security import unlock_key

KEY = bytes(range(32))
TEXT = "SWMKEY-1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"


def test_a_key_is_shown_as_swarmkit_shows_it():
    assert TEXT == unlock_key.show(KEY)


@pytest.mark.parametrize("text", [TEXT, f"  {TEXT}\n", f"{TEXT}="])
def test_a_key_is_read_with_what_a_terminal_adds(text):
    assert KEY == unlock_key.parse(text)


def test_a_minted_key_survives_people():
    key = unlock_key.mint(Random(1))
    assert key == unlock_key.parse(unlock_key.show(key))


@pytest.mark.parametrize(
    "text",
    ["", "SWMKEY-1-", "SWMKEY-2-" + TEXT[9:], TEXT[9:], TEXT[:-1], TEXT + "AA", "SWMKEY-1-é"],
)
def test_anything_else_is_refused_without_repeating_it(text):
    with pytest.raises(InvalidArgumentError, match="invalid unlock key") as caught:
        unlock_key.parse(text)
    assert len(text) < 10 or text not in str(caught.value)
