"""IP addresses as users write them."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse(text: str) -> Address | None:
    """The address; an IPv4 one written as IPv6 is the IPv4 one; None if it is neither."""
    if "%" in text:  # a zone says nothing outside its own host
        return None
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
