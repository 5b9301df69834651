"""swarmctl: the cluster's client, a file for each noun.

    main.py             the click group; version, completion
    aliases.py          rm for remove, svc for service
    connection.py       a command's way to the control socket, and errors as one line
    output.py           tables, JSON, ages, colour: one place
    resolve.py          a name or an id prefix to one object
    values.py           what a flag's text means: lists, labels, sizes, durations
    ca.py               the root CA, and its change
    cluster.py, node.py, task.py, secret.py, config.py, network.py, service.py
    service_flags.py    the flags of service create and update, by topic
    service_spec.py     flags into a service's spec (pure)
    service_mounts.py   … and into its mounts (pure)
    references.py       … and into references to secrets and configs
    service_page.py     a service as `inspect` shows it (pure)
    service_logs.py     what tasks print, for service logs and task logs
    converge.py         wait until a service is as it was asked for, and show how far it is

Commands, flags and aliases are those of the Go program, and more.
"""
