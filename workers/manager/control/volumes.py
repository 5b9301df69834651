"""Volume calls. A volume is made, attached and deleted by what carries these wishes out."""

from typing import Final

from swarmd import api, ids
from swarmd.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from swarmd.store import ReadTx, WriteTx, by
from workers.manager.control import filters
from workers.manager.control.handlers import Context, Handlers
from workers.manager.control.references import plural

_FIXED: Final = (  # what the storage was made with, by SwarmKit's names
    ("group", "Group"),
    ("AccessibilityRequirements", "AccessibilityRequirements"),
    ("driver", "Driver"),
    ("access_mode", "AccessMode"),
    ("secrets", "Secrets"),
    ("capacity_range", "CapacityRange"),
)
_AVAILABILITIES: Final = frozenset(api.VolumeSpec.VolumeAvailability.values())


class Volumes(Handlers):
    async def CreateVolume(
        self, request: api.CreateVolumeRequest, context: Context
    ) -> api.CreateVolumeResponse:
        _check_request(request)
        volume = api.Volume(id=ids.new_id(self._random), spec=request.spec)

        def create(tx: WriteTx) -> api.Volume:
            _check_secrets(tx, request.spec)
            return tx.volumes.create(volume)

        return api.CreateVolumeResponse(volume=await self._store.update(create))

    async def GetVolume(
        self, request: api.GetVolumeRequest, context: Context
    ) -> api.GetVolumeResponse:
        return api.GetVolumeResponse(volume=_found(self._store.view(), request.volume_id))

    async def ListVolumes(
        self, request: api.ListVolumesRequest, context: Context
    ) -> api.ListVolumesResponse:
        wanted = request.filters
        query = filters.first_given(
            (by.name, wanted.names),
            (by.id_prefix, wanted.id_prefixes),
            (by.group, wanted.groups),
            (by.driver, wanted.drivers),
            (by.name_prefix, wanted.name_prefixes),
        )
        volumes = [
            volume
            for volume in self._store.view().volumes.find(query)
            if _is_listed(volume, wanted)
        ]
        return api.ListVolumesResponse(volumes=volumes)

    async def UpdateVolume(
        self, request: api.UpdateVolumeRequest, context: Context
    ) -> api.UpdateVolumeResponse:
        if not request.volume_id:
            raise InvalidArgumentError("VolumeID must not be empty")
        if not request.HasField("spec"):
            raise InvalidArgumentError("Spec must not be empty")
        if not request.HasField("volume_version"):
            raise InvalidArgumentError("VolumeVersion must not be empty")

        def update(tx: WriteTx) -> api.Volume:
            _check_change(_found(tx, request.volume_id).spec, request.spec)
            volume = tx.volumes.copy(request.volume_id)
            volume.spec.annotations.labels.clear()
            volume.spec.annotations.labels.update(request.spec.annotations.labels)
            volume.spec.availability = request.spec.availability
            volume.meta.version.CopyFrom(request.volume_version)
            return tx.volumes.update(volume)

        return api.UpdateVolumeResponse(volume=await self._store.update(update))

    async def RemoveVolume(
        self, request: api.RemoveVolumeRequest, context: Context
    ) -> api.RemoveVolumeResponse:
        """Mark it for deletion, which cannot be undone; by force, forget it as it is."""

        def remove(tx: WriteTx) -> None:
            volume = _found(tx, request.volume_id)
            if request.force:
                tx.volumes.delete(volume.id)
                return
            if volume.publish_status or _is_given(tx, volume.id):
                raise FailedPreconditionError("volume is still in use")
            own = tx.volumes.copy(volume.id)
            own.pending_delete = True
            tx.volumes.update(own)

        await self._store.update(remove)
        return api.RemoveVolumeResponse()


def _found(tx: ReadTx, volume_id: str) -> api.Volume:
    volume = tx.volumes.get(volume_id)
    if volume is None:
        raise NotFoundError("volume", volume_id)
    return volume


def _is_listed(volume: api.Volume, wanted: api.ListVolumesRequest.Filters) -> bool:
    spec = volume.spec
    return (
        filters.is_one_of(spec.annotations.name, wanted.names)
        and filters.has_prefix(spec.annotations.name, wanted.name_prefixes)
        and filters.has_prefix(volume.id, wanted.id_prefixes)
        and filters.has_labels(spec.annotations.labels, wanted.labels)
        and filters.is_one_of(spec.group, wanted.groups)
        and filters.is_one_of(spec.driver.name, wanted.drivers)
    )


def _is_given(tx: ReadTx, volume_id: str) -> bool:
    """A task was given it, and has not ended; it may be on its way to the task's node yet."""
    tasks = tx.tasks.find(by.attached_volume(volume_id))
    return any(task.status.state <= api.TaskState.RUNNING for task in tasks)


def _check_change(before: api.VolumeSpec, after: api.VolumeSpec) -> None:
    if before.annotations.name != after.annotations.name:
        raise InvalidArgumentError("Name cannot be updated")
    for field, name in _FIXED:
        if getattr(before, field) != getattr(after, field):
            raise InvalidArgumentError(f"{name} cannot be updated")
    _check_availability(after)


def _check_availability(spec: api.VolumeSpec) -> None:
    if spec.availability not in _AVAILABILITIES:
        raise InvalidArgumentError(f"there is no volume availability {spec.availability}")


def _check_request(request: api.CreateVolumeRequest) -> None:
    if not request.HasField("spec"):
        raise InvalidArgumentError("spec must not be nil")
    if not request.spec.HasField("driver"):
        raise InvalidArgumentError("driver must be specified")
    if not request.spec.annotations.name:
        raise InvalidArgumentError("meta: name must be provided")
    if not request.spec.HasField("access_mode"):
        raise InvalidArgumentError("AccessMode must not be nil")
    if request.spec.access_mode.WhichOneof("access_type") is None:
        raise InvalidArgumentError(
            "Volume AccessMode must specify either Mount or Block access type"
        )
    _check_availability(request.spec)
    _check_sizes(request.spec.capacity_range)


def _check_sizes(wanted: api.CapacityRange) -> None:
    """SwarmKit lets the plugin refuse these, for ever."""
    if wanted.required_bytes < 0 or wanted.limit_bytes < 0:
        raise InvalidArgumentError("CapacityRange: a size cannot be negative")
    if 0 < wanted.limit_bytes < wanted.required_bytes:
        raise InvalidArgumentError("CapacityRange: the limit is below what is required")


def _check_secrets(tx: ReadTx, spec: api.VolumeSpec) -> None:
    missing = [one.secret for one in spec.secrets if tx.secrets.get(one.secret) is None]
    if missing:
        noun = plural("secret", missing)
        raise InvalidArgumentError(f"{noun} not found: {', '.join(missing)}")
