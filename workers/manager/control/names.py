"""What a name may be."""

import re
from typing import Final

from swarmd import api
from swarmd.errors import InvalidArgumentError

_LONGEST_DNS_LABEL: Final = 63
_LONGEST_FILE_NAME: Final = 64
# Written so that no text makes the matcher go back over it again and again.
_DNS_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")


def check_dns_name(annotations: api.Annotations) -> None:
    """Services and networks are found by name in DNS, so theirs must be one label of it."""
    name = annotations.name
    if not name:
        raise InvalidArgumentError("meta: name must be provided")
    if not _DNS_LABEL.fullmatch(name):
        raise InvalidArgumentError("name must be valid as a DNS name component")
    if len(name) > _LONGEST_DNS_LABEL:
        raise InvalidArgumentError(f"name must be {_LONGEST_DNS_LABEL} characters or fewer")


def check_file_name(annotations: api.Annotations) -> None:
    """Secrets and configs become files."""
    name = annotations.name
    if not name:
        raise InvalidArgumentError("name must be provided")
    if len(name) > _LONGEST_FILE_NAME or not _FILE_NAME.fullmatch(name):
        raise InvalidArgumentError(
            f"invalid name, only {_LONGEST_FILE_NAME} [a-zA-Z0-9-_.] characters allowed, "
            "and the start and end character must be [a-zA-Z0-9]"
        )
