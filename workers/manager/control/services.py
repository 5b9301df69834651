"""Service calls."""

from collections.abc import Collection

from swarmd import api, ids
from swarmd.api import defaults, services, times
from swarmd.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    NameConflictError,
    NotFoundError,
    UnimplementedError,
)
from swarmd.store import ReadTx, WriteTx, by
from workers.manager.control import filters, port_checks, references
from workers.manager.control.handlers import Context, Handlers, invalid_argument
from workers.manager.control.networks import is_ingress
from workers.manager.control.service_checks import check_service_spec


class Services(Handlers):
    async def CreateService(
        self, request: api.CreateServiceRequest, context: Context
    ) -> api.CreateServiceResponse:
        if not request.HasField("spec"):
            raise invalid_argument()
        check_service_spec(request.spec)
        service = self._new_service(request.spec)

        def create(tx: WriteTx) -> api.Service:
            references.check_networks_open(tx, service.spec.task)
            port_checks.check_conflicts(service.spec.endpoint, tx.services.find())
            _check_ingress(tx, service.spec)
            references.check_secrets_exist(tx, service.spec.task.container)
            references.check_configs_exist(tx, service.spec.task.container)
            return _create(tx, service)

        return api.CreateServiceResponse(service=await self._store.update(create))

    async def GetService(
        self, request: api.GetServiceRequest, context: Context
    ) -> api.GetServiceResponse:
        if not request.service_id:
            raise invalid_argument()
        service = _existing(self._store.view(), request.service_id)
        answer = api.GetServiceResponse(service=service)
        if request.insert_defaults:
            answer.service.spec.CopyFrom(defaults.interpolate(service.spec))
        return answer

    async def ListServices(
        self, request: api.ListServicesRequest, context: Context
    ) -> api.ListServicesResponse:
        wanted = request.filters
        query = filters.first_given(
            (by.name, wanted.names),
            (by.name_prefix, wanted.name_prefixes),
            (by.id_prefix, wanted.id_prefixes),
            (by.runtime, wanted.runtimes),
        )
        found = self._store.view().services.find(query)
        return api.ListServicesResponse(services=[one for one in found if _selected(one, wanted)])

    async def UpdateService(
        self, request: api.UpdateServiceRequest, context: Context
    ) -> api.UpdateServiceResponse:
        if not (request.service_id and request.HasField("service_version")):
            raise invalid_argument()
        if not request.HasField("spec"):
            raise invalid_argument()
        check_service_spec(request.spec)

        def update(tx: WriteTx) -> api.Service:
            references.check_networks_open(tx, request.spec.task)
            _check_change(tx, _existing(tx, request.service_id), request.spec)
            return tx.services.update(self._updated(tx, request))

        return api.UpdateServiceResponse(service=await self._store.update(update))

    async def RemoveService(
        self, request: api.RemoveServiceRequest, context: Context
    ) -> api.RemoveServiceResponse:
        if not request.service_id:
            raise invalid_argument()
        await self._store.update(lambda tx: tx.services.delete(request.service_id))
        return api.RemoveServiceResponse()

    async def ListServiceStatuses(
        self, request: api.ListServiceStatusesRequest, context: Context
    ) -> api.ListServiceStatusesResponse:
        view = self._store.view()
        statuses = [
            _status(one, view.services.get(one), view.tasks.find(by.service(one)))
            for one in request.services
        ]
        return api.ListServiceStatusesResponse(statuses=statuses)

    def _new_service(self, spec: api.ServiceSpec) -> api.Service:
        service = api.Service(id=ids.new_id(self._random), spec=spec, spec_version=api.Version())
        if services.is_job(service):
            service.job_status.last_execution.CopyFrom(times.timestamp(self._clock.now()))
        return service

    def _updated(self, tx: WriteTx, request: api.UpdateServiceRequest) -> api.Service:
        """The service as the request makes it, under the version that its caller knew."""
        service = tx.services.copy(request.service_id)
        service.meta.version.CopyFrom(request.service_version)
        now = times.timestamp(self._clock.now())
        if service.HasField("job_status"):
            service.job_status.job_iteration.index += 1
            service.job_status.last_execution.CopyFrom(now)
        if request.rollback == api.UpdateServiceRequest.Rollback.PREVIOUS:
            _roll_back(service)
            service.update_status.started_at.CopyFrom(now)
        else:
            _replace_spec(service, request.spec)
        _check_ingress(tx, service.spec)
        return service


def _existing(tx: ReadTx, service_id: str) -> api.Service:
    service = tx.services.get(service_id)
    if service is None:
        raise NotFoundError("service", service_id)
    return service


def _create(tx: WriteTx, service: api.Service) -> api.Service:
    try:
        return tx.services.create(service)
    except NameConflictError as error:
        name = service.spec.annotations.name
        # Clients look for the first half, people need the second.
        message = f"name conflicts with an existing object: service {name} already exists"
        raise AlreadyExistsError(message) from error


def _check_change(tx: ReadTx, service: api.Service, spec: api.ServiceSpec) -> None:
    """Whether this service may become that one."""
    old = service.spec
    if spec.HasField("endpoint") and spec.endpoint != old.endpoint:
        port_checks.check_conflicts(spec.endpoint, tx.services.find(), service.id)
    moved = list(spec.networks) != list(old.networks)
    if moved and list(spec.task.networks) == list(old.task.networks):
        # The old place for networks: it may be left, but not used anew.
        raise UnimplementedError("networks must be migrated to TaskSpec before being changed")
    references.check_secrets_exist(tx, spec.task.container)
    references.check_configs_exist(tx, spec.task.container)
    if spec.WhichOneof("mode") != old.WhichOneof("mode"):
        raise UnimplementedError("service mode change is not allowed")
    if spec.annotations.name != old.annotations.name:
        raise UnimplementedError("renaming services is not supported")


def _check_ingress(tx: ReadTx, spec: api.ServiceSpec) -> None:
    if port_checks.needs_ingress(spec) and not any(map(is_ingress, tx.networks.find())):
        raise FailedPreconditionError(
            "service needs ingress network, but no ingress network is present"
        )


def _replace_spec(service: api.Service, spec: api.ServiceSpec) -> None:
    service.previous_spec.CopyFrom(service.spec)
    service.previous_spec_version.CopyFrom(service.spec_version)
    service.spec.CopyFrom(spec)
    # Tasks made from this spec bear this number; that the object's own version is then already
    # higher does not matter, since the two are never compared.
    service.spec_version.CopyFrom(service.meta.version)
    service.ClearField("update_status")


def _roll_back(service: api.Service) -> None:
    """Swap the spec with the one before it, so that a second time brings it back."""
    if not service.HasField("previous_spec"):
        raise FailedPreconditionError(f"service {service.id} does not have a previous spec")
    now = api.Service(spec=service.spec, spec_version=service.spec_version)
    service.spec.CopyFrom(service.previous_spec)
    service.spec_version.CopyFrom(service.previous_spec_version)
    service.previous_spec.CopyFrom(now.spec)
    service.previous_spec_version.CopyFrom(now.spec_version)
    service.update_status.Clear()
    service.update_status.state = api.UpdateStatus.UpdateState.ROLLBACK_STARTED
    service.update_status.message = "manually requested rollback"


def _selected(service: api.Service, wanted: api.ListServicesRequest.Filters) -> bool:
    annotations = service.spec.annotations
    return (
        filters.is_one_of(annotations.name, wanted.names)
        and filters.has_prefix(annotations.name, wanted.name_prefixes)
        and filters.has_prefix(service.id, wanted.id_prefixes)
        and filters.has_labels(annotations.labels, wanted.labels)
        and filters.is_one_of(filters.runtime(service.spec.task), wanted.runtimes)
    )


def _status(
    service_id: str, service: api.Service | None, tasks: Collection[api.Task]
) -> api.ListServiceStatusesResponse.ServiceStatus:
    """How many tasks it wants, has running and, if it is a job, has completed.

    A service that is gone wants none; its last tasks are counted as long as they run.
    """
    status = api.ListServiceStatusesResponse.ServiceStatus(service_id=service_id)
    if service is not None and service.HasField("job_status"):
        iteration = services.job_iteration(service)
        tasks = [task for task in tasks if _is_of_iteration(task, iteration)]
        status.completed_tasks = sum(_has_completed(task) for task in tasks)
    status.running_tasks = sum(t.status.state == api.TaskState.RUNNING for t in tasks)
    if services.is_replicated(service) and service is not None:
        status.desired_tasks = service.spec.replicated.replicas
    elif services.is_replicated_job(service) and service is not None:
        status.desired_tasks = service.spec.replicated_job.max_concurrent
    elif service is not None:
        status.desired_tasks = sum(_is_desired(task) for task in tasks)
    return status


def _is_of_iteration(task: api.Task, iteration: int) -> bool:
    return task.HasField("job_iteration") and task.job_iteration.index == iteration


def _has_completed(task: api.Task) -> bool:
    return task.status.state == api.TaskState.COMPLETE


def _is_desired(task: api.Task) -> bool:
    """Of a service with a task on every node."""
    if task.desired_state == api.TaskState.COMPLETE:
        return not _has_completed(task)
    return task.desired_state == api.TaskState.RUNNING
