"""The short ways to write ports, volumes, commands and hosts, as the long ones (pure).

Each raises ComposeError without a place: the shape that called it knows that.
"""

import re
from typing import Any, Final

from swarmd.ctl.compose.errors import ComposeError, shown

MOST_PORT: Final = 65535
PROTOCOLS: Final = ("tcp", "udp", "sctp")
PROPAGATIONS: Final = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
_DRIVE: Final = re.compile(r"[a-zA-Z]:[\\/]", re.ASCII)
_WORD: Final = re.compile(
    r"""(?P<space>\s+)|(?P<comment>\#[^\n]*)
    |(?P<word>(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\])+)""",
    re.VERBOSE | re.DOTALL,
)
_PIECE: Final = re.compile(r"""\\(.)|'([^']*)'|"((?:\\.|[^"\\])*)"|([^\\'"]+)""", re.DOTALL)


def words(text: str) -> list[str]:
    """A command line as a shell splits it; in double quotes a backslash takes any character."""
    found, at = [], 0
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise ComposeError(f"a quote is not closed in {shown(text)!r}")
        if match["word"]:
            found.append(_PIECE.sub(_unquoted, match["word"]))
        at = match.end()
    return found


def _unquoted(piece: re.Match[str]) -> str:
    escaped, single, double, plain = piece.groups()
    if double is not None:
        return re.sub(r"\\(.)", r"\1", double, flags=re.DOTALL)
    return next(text for text in (escaped, single, plain) if text is not None)


def ports(given: str | int) -> list[dict[str, Any]]:
    """[IP:][HOST:]CONTAINER[/PROTOCOL], with ranges; an address is dropped, as by Docker."""
    *hosts, target = str(given).rsplit(":", 2)
    target, _, protocol = target.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise ComposeError(f"{shown(protocol)!r} is not tcp, udp or sctp")
    first, last = _port_range(target, given)
    published = hosts[-1] if hosts else ""
    if not published:
        return [{"target": port, "protocol": protocol} for port in range(first, last + 1)]
    low, high = _port_range(published, given)
    if first == last:  # one port under several: each is published
        return [_port(first, port, protocol) for port in range(low, high + 1)]
    if high - low != last - first:
        raise ComposeError(f"the ranges of {shown(str(given))!r} are not of one length")
    return [_port(port, low + port - first, protocol) for port in range(first, last + 1)]


def _port(target: int, published: int, protocol: str) -> dict[str, Any]:
    return {"target": target, "published": published, "protocol": protocol}


def _port_range(text: str, given: str | int) -> tuple[int, int]:
    found = _RANGE.fullmatch(text)
    first = int(found[1]) if found else 0
    last = int(found[2] or first) if found else 0
    if not 0 < first <= last <= MOST_PORT:
        raise ComposeError(f"{shown(str(given))!r} is not [[IP:]HOST:]CONTAINER[/PROTOCOL]")
    return first, last


def volume(text: str) -> dict[str, Any]:
    """[SOURCE:]TARGET[:OPTIONS]; a source that is a path is bound, any other is a volume's name."""
    parts = _split_paths(text)
    if not 0 < len(parts) <= 3 or not all(parts):  # noqa: PLR2004 - as its form says
        raise ComposeError(f"{shown(text)!r} is not [SOURCE:]TARGET[:OPTIONS]")
    if len(parts) == 1:
        return {"type": "volume", "target": parts[0]}
    source, target, *options = parts
    found = {"type": "bind" if is_path(source) else "volume", "source": source, "target": target}
    for option in options[0].split(",") if options else ():
        _set_option(found, option)
    return found


def _split_paths(text: str) -> list[str]:
    """Split at colons, but for that of a Windows drive."""
    parts: list[str] = []
    for part in text.split(":"):
        if parts and re.fullmatch("[a-zA-Z]", parts[-1]) and part[:1] in ("\\", "/"):
            parts[-1] += f":{part}"
        else:
            parts.append(part)
    return parts


def is_path(source: str) -> bool:
    """Whether a volume's source is a path, of this system or of Windows."""
    return source[:1] in (".", "/", "~") or source.startswith("\\\\") or bool(_DRIVE.match(source))


def _set_option(found: dict[str, Any], option: str) -> None:
    if option in ("ro", "rw"):
        found["read_only"] = option == "ro"
    elif option == "nocopy":
        found["volume"] = {"nocopy": True}
    elif option in PROPAGATIONS:
        found["bind"] = {"propagation": option}
    else:
        raise ComposeError(f"{shown(option)!r} is no option of a volume")


def source(text: str) -> dict[str, Any]:
    """A secret's or config's name alone."""
    return {"source": text}


def hosts(value: Any) -> list[str]:
    """HOST:IP each, from a mapping or a list, in order; [::1] without its brackets."""
    pairs = [f"{host}:{ip}" for host, ip in value.items()] if isinstance(value, dict) else value
    return [_host(text) for text in pairs]


def _host(text: str) -> str:
    host, sign, address = text.partition("=") if "=" in text else text.partition(":")
    if not (host and sign and address) or re.search(r"[\s=]", address):
        raise ComposeError(f"{shown(text)!r} is not HOST:IP")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    return f"{host}:{address}"


def cores(value: str | float) -> str:
    """A number of CPU cores as text; nine decimal places are all that counts."""
    text = str(value)
    if not re.fullmatch(r"[0-9]{0,9}(?:[0-9]|\.[0-9]{1,9})0*", text, re.ASCII):
        raise ComposeError(f"{shown(text)!r} is not a number of cores such as 0.5")
    return text
