"""Join tokens have SwarmKit's exact form."""

from random import Random

import pytest

from swarmd.errors import InvalidArgumentError
from swarmd.security import join_tokens
from swarmd.security.join_tokens import JoinToken

DIGEST = "sha256:" + "0a" * 32


def test_token_is_version_1_with_digest_and_secret_in_base_36_at_fixed_length():
    head, version, digest, secret = join_tokens.mint(DIGEST, Random(1)).split("-")
    assert ("SWMTKN", "1") == (head, version)
    assert (50, 25) == (len(digest), len(secret))
    assert int("0a" * 32, 16) == int(digest, 36)


def test_each_token_has_a_secret_of_its_own():
    random = Random(1)
    assert join_tokens.mint(DIGEST, random) != join_tokens.mint(DIGEST, random)


def test_parse_gives_back_what_was_minted():
    token = join_tokens.mint(DIGEST, Random(1))
    assert JoinToken(DIGEST, token[-25:], fips=False) == join_tokens.parse(token)


@pytest.mark.parametrize("fips", [False, True])
def test_version_2_says_whether_the_cluster_demands_fips(fips):
    token = join_tokens.mint(DIGEST, Random(1)).replace("SWMTKN-1", f"SWMTKN-2-{int(fips)}")
    assert fips == join_tokens.parse(token).fips


@pytest.mark.parametrize(
    "token",
    [
        "",
        "SWMTKN-1",
        "swmtkn-1-" + "0" * 50 + "-" + "0" * 25,
        "SWMTKN-3-" + "0" * 50 + "-" + "0" * 25,
        "SWMTKN-1-" + "0" * 49 + "-" + "0" * 25,
        "SWMTKN-1-" + "0" * 50 + "-" + "0" * 24,
        "SWMTKN-1-" + "z" * 50 + "-" + "0" * 25,  # more than 256 bits
        "SWMTKN-1-" + "A" * 50 + "-" + "0" * 25,
        "SWMTKN-2-" + "0" * 50 + "-" + "0" * 25,
        "SWMTKN-2-2-" + "0" * 50 + "-" + "0" * 25,
        "SWMTKN-1-" + "0" * 50 + "-" + "0" * 25 + "\n",
    ],
)
def test_anything_else_is_refused_without_repeating_it(token):
    with pytest.raises(InvalidArgumentError) as caught:
        join_tokens.parse(token)
    assert "invalid join token" == str(caught.value)


def test_an_empty_expectation_is_met_by_nothing():
    assert not join_tokens.same("", "")


def test_a_token_beyond_ascii_is_no_match_and_no_crash():
    assert not join_tokens.same("ü", "SWMTKN")
