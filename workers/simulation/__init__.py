"""The whole cluster in one process, under a virtual clock: `swarmd chaos` runs it.

A seed decides all there is: how tasks behave, what the user wants, what fails and when. The
manager's components, its store, its control API and dispatcher, and the agents' sessions and task
managers are the real ones; time, chance, network, disks and processes are not.

    scenario.py      one seed: faults for a while, then peace; what came of it
    many.py          many seeds, in several processes, and what to say of them
    loop.py          an event loop that jumps from timer to timer
    clock.py         a host's clock, which may be off
    network.py       links that delay, lose, repeat and are cut; they have the shape of gRPC
    disk.py          what survives a crash, and at which commit the manager dies
    engine.py        processes that do as their seed says
    host.py          a node: power, link, disk, processes, and the real agent
    leader.py        a manager: the real components, over a store that knows who changes what
    user.py          creates, updates, scales, rolls back and removes services
    specs.py         random nodes and services
    faults.py        everything that goes wrong, by name
    picture.py       the cluster as its commits tell it
    invariants.py    what must hold, by name (pure); docs/chaos.md explains each
    checker.py       asks them at every commit, and hears of every process
    convergence.py   is the cluster what its specs ask for? (pure)

It imports both the agent and the manager, which never import each other, nor this.
"""
