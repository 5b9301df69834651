"""What goes wrong, by name: each fault begins, lasts for a while, and is undone.

What is left of it at the end of the faulty time, `heal` undoes.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Final

from swarmd import api
from workers.simulation.disk import Disk
from workers.simulation.engine import Mood
from workers.simulation.host import Host
from workers.simulation.leader import SimulatedManager
from workers.simulation.network import Weather
from workers.simulation.user import User

Fault = Callable[["Faults"], Coroutine[None, None, None]]
_SHORT: Final = (0.05, 3.0)
_LONG: Final = (3.0, 40.0)
_VERY_LONG: Final = (10.0, 90.0)
_Availability = api.NodeSpec.Availability


class Faults:
    """The hands of fate, with everything that they can reach."""

    def __init__(
        self,
        *,
        hosts: dict[str, Host],
        manager: SimulatedManager,
        disk: Disk,
        weather: Weather,
        mood: Mood,
        user: User,
        random: Random,
        trace: Callable[[str], None],
    ) -> None:
        self.hosts = hosts
        self.manager = manager
        self.disk = disk
        self.weather = weather
        self.mood = mood
        self.user = user
        self.random = random
        self.trace = trace

    def host(self) -> Host:
        return self.random.choice(list(self.hosts.values()))

    async def a_while(self) -> None:
        """A moment, or long enough for the manager to notice."""
        await asyncio.sleep(self.random.uniform(*self.random.choice((_SHORT, _LONG))))

    async def heal(self) -> None:
        """Everything works from here on, and nodes take tasks, most of them."""
        self.disk.crash_in, self.disk.full, self.disk.slow = 0, False, False
        self.weather.lost = self.weather.repeated = 0.0
        self.weather.slowest_seconds = Weather().slowest_seconds
        self.mood.trouble = 0.0
        self.mood.broken.clear()
        self.mood.healed.set()
        self.manager.start()
        for host in self.hosts.values():
            host.link.cut(up=False, down=False)
            host.start()


async def node_crash(faults: Faults) -> None:
    host = faults.host()
    faults.trace(f"fault: {host.name} loses power")
    host.lose_power()
    await faults.a_while()
    host.start()


async def agent_restart(faults: Faults) -> None:
    host = faults.host()
    faults.trace(f"fault: the agent of {host.name} is killed")
    host.kill_agent()
    await asyncio.sleep(faults.random.uniform(*_SHORT))
    host.start()


async def partition(faults: Faults) -> None:
    host = faults.host()
    faults.trace(f"fault: {host.name} is cut off")
    host.link.cut(up=True, down=True)
    await faults.a_while()
    host.link.cut(up=False, down=False)


async def one_way(faults: Faults) -> None:
    host, up = faults.host(), faults.random.random() < 0.5  # noqa: PLR2004
    faults.trace(f"fault: {host.name} is {'not heard' if up else 'deaf'}")
    host.link.cut(up=up, down=not up)
    await faults.a_while()
    host.link.cut(up=False, down=False)


async def bad_network(faults: Faults) -> None:
    faults.trace("fault: the network loses, repeats and delays")
    faults.weather.lost, faults.weather.repeated = 0.1, 0.2
    faults.weather.slowest_seconds = 2.0
    await faults.a_while()
    faults.weather.lost = faults.weather.repeated = 0.0
    faults.weather.slowest_seconds = Weather().slowest_seconds


async def manager_crash(faults: Faults) -> None:
    """At one of the next commits; where none comes, between two."""
    disk, life = faults.disk, faults.manager.lives
    disk.crash_is_durable = faults.random.random() < 0.5  # noqa: PLR2004
    disk.crash_in = faults.random.randint(1, 8)
    faults.trace(f"fault: the manager is to die in {disk.crash_in} commits")
    await asyncio.sleep(faults.random.uniform(*_SHORT))
    disk.crash_in = 0
    if faults.manager.lives == life:
        faults.manager.crash()
        await asyncio.sleep(faults.random.choice((0.0, 0.5, 5.0, 40.0)))
        faults.manager.start()


async def clock_step(faults: Faults) -> None:
    clocks = [faults.manager.clock, *(host.clock for host in faults.hosts.values())]
    clock, step = faults.random.choice(clocks), faults.random.uniform(-20, 20)
    faults.trace(f"fault: a clock is {step:.1f} s off")
    clock.step += step


async def trouble(faults: Faults) -> None:
    faults.trace("fault: tasks fail, hang and flap")
    faults.mood.trouble = faults.random.choice((0.2, 0.5, 0.9))
    await faults.a_while()
    faults.mood.trouble = 0.0


async def alike(faults: Faults) -> None:
    """Long enough for the breaker to hold it, most often."""
    service = await faults.user.some_service()
    if service is None:
        return
    faults.trace(f"fault: every task of {service.spec.annotations.name} ends alike")
    faults.mood.broken.add(service.id)
    await asyncio.sleep(faults.random.uniform(*_VERY_LONG))
    faults.mood.broken.discard(service.id)


async def labels(faults: Faults) -> None:
    host = faults.host()
    faults.trace(f"fault: {host.name} gets other labels")
    await faults.user.relabel(host.node_id)


async def drain(faults: Faults) -> None:
    host, random = faults.host(), faults.random
    how = random.choice((_Availability.DRAIN, _Availability.PAUSE))
    faults.trace(f"fault: {host.name} is to {_Availability.Name(how).lower()}")
    await faults.user.set_availability(host.node_id, how)
    await faults.a_while()
    await faults.user.set_availability(host.node_id, _Availability.ACTIVE)


async def removal(faults: Faults) -> None:
    """One stays at least; a host that was removed is switched off."""
    if len(faults.hosts) < 3:  # noqa: PLR2004
        return
    host = faults.host()
    faults.trace(f"fault: {host.name} is removed from the cluster")
    if await faults.user.remove_node(host.node_id) and host.node_id in faults.hosts:
        del faults.hosts[host.node_id]
        host.lose_power()


async def full_disk(faults: Faults) -> None:
    faults.trace("fault: the manager's disk is full")
    faults.disk.full = True
    await asyncio.sleep(faults.random.uniform(*_SHORT))
    faults.disk.full = False


async def slow_disk(faults: Faults) -> None:
    faults.trace("fault: the manager's disk is slow")
    faults.disk.slow = True
    await faults.a_while()
    faults.disk.slow = False


KINDS: Final[Mapping[str, Fault]] = {
    "node-crash": node_crash,
    "agent-restart": agent_restart,
    "partition": partition,
    "one-way": one_way,
    "network": bad_network,
    "manager-crash": manager_crash,
    "clock": clock_step,
    "tasks": trouble,
    "alike": alike,
    "labels": labels,
    "drain": drain,
    "removal": removal,
    "full-disk": full_disk,
    "slow-disk": slow_disk,
}
