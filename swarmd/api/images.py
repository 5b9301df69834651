"""Pure questions about images."""

from typing import Final

_HOST: Final = frozenset({"host", "host:latest", "docker.io/library/host:latest"})


def is_host(image: str) -> bool:
    """Whether a container of it is a process on the host itself.

    Docker's clients complete the name before they send it.
    """
    return image in _HOST
