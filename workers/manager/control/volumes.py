"""Volume calls: there are no volumes yet, so that there is none to get, list or remove."""

from swarmd import api
from swarmd.errors import InvalidArgumentError, NotFoundError, UnimplementedError
from swarmd.store import ReadTx
from workers.manager.control.handlers import Context, Handlers
from workers.manager.control.references import plural


class Volumes(Handlers):
    async def CreateVolume(
        self, request: api.CreateVolumeRequest, context: Context
    ) -> api.CreateVolumeResponse:
        _check_request(request)
        _check_secrets(self._store.view(), request.spec)
        raise UnimplementedError("cluster volumes are not implemented yet")

    async def GetVolume(
        self, request: api.GetVolumeRequest, context: Context
    ) -> api.GetVolumeResponse:
        raise NotFoundError("volume", request.volume_id)

    async def ListVolumes(
        self, request: api.ListVolumesRequest, context: Context
    ) -> api.ListVolumesResponse:
        return api.ListVolumesResponse()

    async def UpdateVolume(
        self, request: api.UpdateVolumeRequest, context: Context
    ) -> api.UpdateVolumeResponse:
        if not request.volume_id:
            raise InvalidArgumentError("VolumeID must not be empty")
        if not request.HasField("spec"):
            raise InvalidArgumentError("Spec must not be empty")
        if not request.HasField("volume_version"):
            raise InvalidArgumentError("VolumeVersion must not be empty")
        raise NotFoundError("volume", request.volume_id)

    async def RemoveVolume(
        self, request: api.RemoveVolumeRequest, context: Context
    ) -> api.RemoveVolumeResponse:
        raise NotFoundError("volume", request.volume_id)


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


def _check_secrets(tx: ReadTx, spec: api.VolumeSpec) -> None:
    missing = [one.secret for one in spec.secrets if tx.secrets.get(one.secret) is None]
    if missing:
        noun = plural("secret", missing)
        raise InvalidArgumentError(f"{noun} not found: {', '.join(missing)}")
