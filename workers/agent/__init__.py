"""Runs the tasks of this node: from assignment to running task, in the order of the files.

    agent          session after session, for ever, over whichever manager answers
    session        one registration with one dispatcher: heartbeats, messages, assignments
    assignments    a dispatcher's message to what changed and what is to be dropped (pure)
    dependencies   the secrets and configs that the tasks may read
    csi            the cluster volumes that the tasks may use, mounted by their plugins
    task_set       the tasks here: adopted, started, updated, removed; one manager each
    task_manager   drives one task; task_steps says what comes next (pure), turns when it may begin
    executors      the engines, and which of them runs a task
    statuses       a new status goes to task_db (task_file) first, then to the reporter
    reporter       the newest status of each task, in batches, to the dispatcher
    log_publisher  what tasks print, to the subscribers that a manager names

    enrollment     the first certificate, with a join token
    renewal        each later one, in time; dialer uses the newest
    description    what this node is: platform, resources, engines
    templates      fills in {{.Service.Name}} and kin, by way of swarmd.api.templates (pure)
    payloads       the data of secrets and configs, templates filled in
    remotes        which manager to try; peers_file remembers them

Tasks do not need a session: an agent that finds no manager goes on with what its database says. Nor
do they need an agent: when it stops, they go on, and the next one adopts them.
"""
