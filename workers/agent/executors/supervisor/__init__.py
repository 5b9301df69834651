"""Host processes, as programs of a supervisord.

    a task                      a program, in the process group named for its service: web:1.<id>
    image `host`                what brings a task here; every other image needs another engine
    command + args              argv; resolved against the task's own PATH and dir
    env, dir, user, groups      set in the child; nothing of supervisord's own leaks into it
    stop signal, grace period   to the process group; then SIGKILL, to every descendant
    ulimits, oom_score_adj      set in the child
    CPU, memory, pids limits    a cgroup of its own (v2, else v1)
    secrets, configs            files in memory, for the task's user alone (credentials)
    health check                run by the agent, as the task's user, in the task's cgroup
    stdout, stderr              files in the task's directory, rotated; line_times stand beside

Two sides, which meet in messages.py over XML-RPC:

    inside supervisord   plugin.py, and with it plugin_tasks, plugin_task, plugin_child,
                         plugin_zygote, plugin_output, plugin_wakeup, plugin_doorbell, cgroup,
                         leftovers: the standard library and supervisor, nothing else
    inside the agent     executor, controller, program, account, command, rpc, link,
                         own_supervisord, health, output

The plugin lives in supervisord's only thread, so nothing in it waits: starting, stopping and
counting the dead are spread over turns of its loop. It rings the agent's doorbell (one datagram)
when a program changed, and the agent then reads all that changed since it last looked: a datagram
that does not fit the agent's queue finds one there already, so no end of a task can be missed.
"""
