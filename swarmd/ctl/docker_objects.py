"""Objects in the shape of Docker's API, as {{.Spec.Mode.Replicated.Replicas}} sees them (pure)."""

from typing import Any

from swarmd import api
from swarmd.ctl.docker_shapes import (
    Shape,
    driver,
    endpoint_spec,
    label,
    nanoseconds,
    ports,
    resources,
    task_spec,
    text,
    when,
)


def service(one: api.Service) -> Shape:
    return {
        **_meta(one),
        "Spec": service_spec(one.spec),
        "PreviousSpec": service_spec(one.previous_spec) if one.HasField("previous_spec") else None,
        "Endpoint": {
            "Spec": endpoint_spec(one.endpoint.spec),
            "Ports": ports(one.endpoint.ports),
            "VirtualIPs": [
                {"NetworkID": vip.network_id, "Addr": vip.addr} for vip in one.endpoint.virtual_ips
            ],
        },
        "UpdateStatus": _update_status(one.update_status)
        if one.HasField("update_status")
        else None,
        "JobStatus": {
            "JobIteration": {"Index": one.job_status.job_iteration.index},
            "LastExecution": when(one.job_status.last_execution),
        }
        if one.HasField("job_status")
        else None,
    }


def service_spec(one: api.ServiceSpec) -> Shape:
    mode = one.WhichOneof("mode")
    job = one.replicated_job
    return {
        **_annotations(one),
        "TaskTemplate": task_spec(one.task),
        "Mode": {
            "Replicated": {"Replicas": one.replicated.replicas} if mode == "replicated" else None,
            "Global": {} if mode == "global" else None,
            "ReplicatedJob": {
                "MaxConcurrent": job.max_concurrent,
                "TotalCompletions": job.total_completions,
            }
            if mode == "replicated_job"
            else None,
            "GlobalJob": {} if mode == "global_job" else None,
        },
        "UpdateConfig": _update_config(one.update) if one.HasField("update") else None,
        "RollbackConfig": _update_config(one.rollback) if one.HasField("rollback") else None,
        "EndpointSpec": endpoint_spec(one.endpoint),
    }


def _update_config(one: api.UpdateConfig) -> Shape:
    return {
        "Parallelism": one.parallelism,
        "Delay": nanoseconds(one, "delay"),
        "FailureAction": label(api.UpdateConfig.FailureAction, one.failure_action),
        "Monitor": nanoseconds(one, "monitor"),
        "MaxFailureRatio": one.max_failure_ratio,
        "Order": label(api.UpdateConfig.UpdateOrder, one.order),
    }


def _update_status(one: api.UpdateStatus) -> Shape:
    state = api.UpdateStatus.UpdateState.Name(one.state).lower()
    return {
        "State": state,
        "StartedAt": when(one.started_at) if one.HasField("started_at") else None,
        "CompletedAt": when(one.completed_at) if one.HasField("completed_at") else None,
        "Message": one.message,
    }


def node(one: api.Node) -> Shape:
    about = one.description
    return {
        **_meta(one),
        "Spec": {
            **_annotations(one.spec),
            "Role": label(api.NodeRole, one.spec.desired_role),
            "Availability": label(api.NodeSpec.Availability, one.spec.availability),
        },
        "Description": {
            "Hostname": about.hostname,
            "Platform": {"Architecture": about.platform.architecture, "OS": about.platform.os},
            "Resources": resources(about.resources),
            "Engine": {
                "EngineVersion": about.engine.engine_version,
                "Labels": dict(about.engine.labels),
                "Plugins": [{"Type": p.type, "Name": p.name} for p in about.engine.plugins],
            },
            "TLSInfo": {
                "TrustRoot": about.tls_info.trust_root.decode(errors="replace"),
                "CertIssuerSubject": text(about.tls_info.cert_issuer_subject),
                "CertIssuerPublicKey": text(about.tls_info.cert_issuer_public_key),
            },
        },
        "Status": {
            "State": label(api.NodeStatus.State, one.status.state),
            "Message": one.status.message,
            "Addr": one.status.addr,
        },
        "ManagerStatus": {
            "Leader": one.manager_status.leader,
            "Reachability": label(
                api.RaftMemberStatus.Reachability, one.manager_status.reachability
            ),
            "Addr": one.manager_status.addr,
        }
        if one.HasField("manager_status")
        else None,
    }


def task(one: api.Task) -> Shape:
    status = one.status
    return {
        **_meta(one),
        "Labels": dict(one.annotations.labels),
        "Spec": task_spec(one.spec),
        "ServiceID": one.service_id,
        "Slot": one.slot,
        "NodeID": one.node_id,
        "Status": {
            "Timestamp": when(status.timestamp),
            "State": label(api.TaskState, status.state),
            "Message": status.message,
            "Err": status.err,
            "ContainerStatus": {
                "ContainerID": status.container.container_id,
                "PID": status.container.pid,
                "ExitCode": status.container.exit_code,
            },
            "PortStatus": {"Ports": ports(status.port_status.ports)},
        },
        "DesiredState": label(api.TaskState, one.desired_state),
        "JobIteration": {"Index": one.job_iteration.index}
        if one.HasField("job_iteration")
        else None,
    }


def secret(one: Any) -> Shape:
    """A secret or a config; a config's data is shown."""
    return {
        **_meta(one),
        "Spec": {
            **_annotations(one.spec),
            "Data": text(one.spec.data) if isinstance(one, api.Config) else None,
            "Driver": driver(one.spec, "driver") if isinstance(one, api.Secret) else None,
            "Templating": driver(one.spec, "templating"),
        },
    }


def network(one: api.Network) -> Shape:
    configs = one.ipam.configs or one.spec.ipam.configs
    return {
        "Name": one.spec.annotations.name,
        "Id": one.id,
        "ID": one.id,
        "Created": when(one.meta.created_at),
        "Scope": "swarm",
        "Driver": one.driver_state.name or one.spec.driver_config.name,
        "IPAM": {
            "Driver": one.spec.ipam.driver.name,
            "Config": [
                {"Subnet": each.subnet, "IPRange": each.range, "Gateway": each.gateway}
                for each in configs
            ],
        },
        "Internal": one.spec.internal,
        "Attachable": one.spec.attachable,
        "Ingress": one.spec.ingress,
        "Labels": dict(one.spec.annotations.labels),
    }


def cluster(one: api.Cluster) -> Shape:
    """What `docker swarm` and `docker info` tell of it, its tokens included."""
    spec = one.spec
    return {
        **_meta(one),
        "Spec": {
            **_annotations(spec),
            "Orchestration": {
                "TaskHistoryRetentionLimit": spec.orchestration.task_history_retention_limit
            },
            "Dispatcher": {"HeartbeatPeriod": nanoseconds(spec.dispatcher, "heartbeat_period")},
            "CAConfig": {"NodeCertExpiry": nanoseconds(spec.ca_config, "node_cert_expiry")},
            "TaskDefaults": {"LogDriver": driver(spec.task_defaults, "log_driver")},
            "EncryptionConfig": {"AutoLockManagers": spec.encryption_config.auto_lock_managers},
        },
        "RootRotationInProgress": one.root_ca.HasField("root_rotation"),
        "JoinTokens": {
            "Worker": one.root_ca.join_tokens.worker,
            "Manager": one.root_ca.join_tokens.manager,
        },
    }


def _meta(one: Any) -> Shape:
    return {
        "ID": one.id,
        "Version": {"Index": one.meta.version.index},
        "CreatedAt": when(one.meta.created_at),
        "UpdatedAt": when(one.meta.updated_at),
    }


def _annotations(spec: Any) -> Shape:
    return {"Name": spec.annotations.name, "Labels": dict(spec.annotations.labels)}
