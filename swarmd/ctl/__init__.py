"""swarmctl: the cluster's client, a file for each noun.

    main.py             the click group; version, completion
    aliases.py          rm for remove, svc for service; --flag=true; what was meant by a wrong word
    connection.py       a command's way to the control socket, and errors as one line
    complete.py         names for a shell's completion
    resolve.py          a name or an id prefix to one object, and lists
    values.py           what a flag's text means: lists, labels, sizes, durations

What is shown:

    output.py           tables, JSON, ages, colour: one place
    formats.py          --format: table, json, proto, Go templates
    filtering.py        --filter (pure)
    rows.py             objects as Docker's lists show them (pure)
    docker_shapes.py, docker_objects.py
                        objects in the shape of Docker's API, for templates and JSON (pure)
    ps.py               tasks as `docker service ps` shows them
    service_page.py     a service as `inspect` shows it (pure)
    explain.py, explain_page.py
                        why a task, a service or a node is as it is
    held.py             services that a breaker holds, and service resume
    service_logs.py     what tasks print, for service logs and task logs
    judge.py            how far a service is from what it was asked to be (pure)
    converge.py         wait until services are as they were asked for, and show how far they are

The nouns:

    backup.py           the whole cluster into one sealed file
    ca.py               the root CA, and its change
    cluster.py, node.py, task.py, secret.py, config.py, network.py, service.py
    volume.py, volume_spec.py
                        cluster volumes; flags into their spec, and how they are shown
    service_change.py   service create, update, scale, rollback
    service_flags.py    the flags of create and update, by topic
    service_spec.py     flags into a service's spec (pure)
    service_mode.py, service_ports.py, service_mounts.py
                        … its mode and counts, its ports, its mounts (pure)
    service_lists.py    … and lists that are added to and taken out of: --env-add, --env-rm (pure)
    references.py       … and secrets, configs, networks and logins
    stack.py, stack_deploy.py
                        stacks out of compose files, which compose reads

Commands, flags and aliases are those of SwarmKit's program and of `docker service`, `docker node`,
`docker secret`, `docker config` and `docker volume`.
"""
