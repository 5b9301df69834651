"""Simulated nodes: in one process as many agents as asked for, each a node of its own.

    async with Fleet(address, token) as fleet:
        await fleet.join(100, Behaviour(start_seconds=0.2, failing=0.01))
        …                                   # fleet.agents, fleet.running, fleet.lose(10)

To the manager they are real: each is enrolled with a request and a join token over the remote port,
has a certificate and a connection of its own under mutual TLS, keeps a session, beats, follows its
assignments' chain and reports states. Only what a task is stays pretended.

    behaviour    what a simulated node makes of its tasks (pure)
    enrolment    a certificate for a join token
    agent        one node: session, heartbeats, assignments, reports
    fleet        many of them
    cluster      the manager under them: its token, its services, its load
    phases       an update, lost nodes, a killed manager: what comes after
    __main__     python -m bench.fleet: many tasks, from create to all RUNNING and quiet
"""

from bench.fleet.behaviour import Behaviour
from bench.fleet.fleet import Fleet

__all__ = ["Behaviour", "Fleet"]
