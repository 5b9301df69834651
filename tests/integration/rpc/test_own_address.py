"""The address that a host shows to the world, by what its network has."""

import subprocess
import sys

from tests.networks import Host, lan
from tests.reference import ROOT

ASK = "from swarmd.rpc.sockets import default_route_host; print(default_route_host())"


def shown(host: Host) -> str:
    asked = host.enter(sys.executable, "-c", ASK)
    return subprocess.check_output(asked, cwd=ROOT, text=True, timeout=60).strip()


def ip(host: Host, *words: str) -> None:
    subprocess.run(["ip", "-n", host.name, *words], check=True)


def test_it_is_the_default_routes_and_none_while_that_has_no_address() -> None:
    with lan() as net:
        host = net.host()
        assert "" == shown(host)
        ip(host, "route", "add", "default", "dev", "lan0")
        assert host.address == shown(host)
        ip(host, "addr", "del", f"{host.address}/24", "dev", "lan0")
        ip(host, "route", "add", "default", "dev", "lan0")
        assert "" == shown(host)
