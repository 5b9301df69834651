"""swarmd: SwarmKit's node daemon, as a supervisor-style process manager.

The rooms, from the top down; imports only point down:

    cli, ctl       the commands: swarmd, swarmctl
    node           the life of one node: the parent process
    supervision    one worker process, kept in its wanted state
    csi            the way to storage plugins
    rpc            gRPC served and dialled: listeners, router, authorization
    store          objects, transactions, watch, backends
    ipc            the words that parent and worker exchange over pipes
    security       certificates, keys, join tokens
    api            the objects of the wire, and pure questions about them

The files beside this one are the base: the standard library only, and never grpc.
"""

__version__ = "0.1.0"
