"""IP addresses as users write them."""

from ipaddress import ip_address

import pytest

from swarmd.api import addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", ip_address("10.0.0.1")),
        ("::ffff:10.0.0.1", ip_address("10.0.0.1")),
        ("fe80::1", ip_address("fe80::1")),
        ("fe80::1%eth0", None),
        ("10.0.0.0/8", None),
        ("", None),
    ],
)
def test_an_address_is_the_same_however_it_is_written(text, expected):
    assert expected == addresses.parse(text)
