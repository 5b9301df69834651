"""Addresses and ports before placement: what a task needs from the cluster before it needs a node.

    ports.py        which published ports are taken, and what a service's endpoint should be (pure)
    allocator.py    gives services their endpoints, and moves each NEW task on to PENDING

A task that needs neither ports nor networks does not come here: whoever makes it takes it on to
PENDING in the same transaction. Watchers see both states, and the store writes it once less.

Networks have no driver in this version, as in a standalone SwarmKit: only the ingress network is
there. A task that asks for another one stays NEW, and its status says why.
"""
