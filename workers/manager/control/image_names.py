"""What an image may be called: the reference grammar that engines and registries share.

    reference  = [domain "/"] path [":" tag] ["@" digest]

The part before the first slash is a domain only if it looks like one (a dot, a colon, a capital,
or localhost). Else the image is one of docker.io, and one without any slash is in library/ there.
"""

import re
from typing import Final

_LONGEST_NAME: Final = 255
_LONGEST: Final = 1024  # longer than name, tag and digest can be together
_ID: Final = re.compile(r"[a-f0-9]{64}")  # an image's id, which would be mistaken for a name

_HOST_PART: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST: Final = rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])"
_PATH_PART: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_DIGEST: Final = "sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}"
_REFERENCE: Final = re.compile(
    rf"(?P<name>(?:{_HOST}(?::[0-9]+)?/)?{_PATH_PART}(?:/{_PATH_PART})*)"
    rf"(?::\w[\w.-]{{0,127}})?(?:@(?:{_DIGEST}))?",
    re.ASCII,
)


def is_image_name(text: str) -> bool:
    """Whether an engine could pull what that names."""
    if len(text) > _LONGEST or _ID.fullmatch(text):
        return False
    found = _REFERENCE.fullmatch(_with_domain(text))
    return found is not None and len(found["name"]) <= _LONGEST_NAME


def _with_domain(text: str) -> str:
    domain, slash, rest = text.partition("/")
    if not slash or not _is_domain(domain):
        domain, rest = "docker.io", text
    if domain in ("docker.io", "index.docker.io"):
        domain = "docker.io"
        rest = rest if "/" in rest else f"library/{rest}"
    return f"{domain}/{rest}"


def _is_domain(part: str) -> bool:
    return part == "localhost" or any(sign in part for sign in ".:") or part.lower() != part
