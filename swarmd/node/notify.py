"""sd_notify: tell whoever started us (systemd, or another that sets NOTIFY_SOCKET) how we are."""

import os
import socket
from collections.abc import Mapping

from swarmd import logs

log = logs.get_logger(__name__)


def notify(environment: Mapping[str, str] = os.environ, /, **state: str) -> None:
    """Send the pairs (READY="1", STATUS="…"), where somebody listens; never fails."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    text = "\n".join(f"{name}={value}" for name, value in state.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(text.encode(), address)
    except OSError as error:
        log.warning("cannot notify", extra=logs.fields(socket=address, reason=error))
