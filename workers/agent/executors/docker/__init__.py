"""Tasks as containers of a Docker engine, through the docker SDK.

    a task                      a container named service.slot.task, labelled as Docker Engine does
    image                       pulled each time; a pull that fails goes on where the image is here
    command, args               the entrypoint, and its arguments
    secrets, configs            files in memory on this node, each mounted by itself, read-only
    limits, privileges, …       the engine's own; what it would pass over is refused by name
    stop signal, grace period   sent here, so that a thousand stops wait in no thread
    health check                run by the engine; a start ends when it is healthy
    networks                    host, bridge and none

Pure: container, mounts, ports, requirements, state, description. With the engine: engine (the
connection, calls in threads, waiting), stream (a body without end), errors, images (pulls), output
(logs), files (secrets and configs on disk that is memory), controller (one task), executor;
ownership (which containers are ours), leftovers (ends them for a node that leaves).

An engine tells by events that a container changed; what it is now is always asked. So an event that
is missed, or an engine that was away, costs a look and never a task.
"""
