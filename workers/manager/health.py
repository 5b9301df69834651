"""Health service: is this manager, and what it is made of, serving?"""

from typing import Any

from swarmd import api
from swarmd.api.protos import health_pb2_grpc
from swarmd.errors import Status, SwarmError

ServingStatus = api.HealthCheckResponse.ServingStatus
RAFT = "Raft"  # the part that peers ask for; here it stands for the store, whatever is below it


class UnknownServiceError(SwarmError):
    status = Status.NOT_FOUND

    def __init__(self) -> None:
        super().__init__("unknown service")


class HealthServicer(health_pb2_grpc.HealthServicer):
    """The manager as a whole serves as long as it answers; a part, until it says otherwise."""

    def __init__(self) -> None:
        self._parts = {RAFT: ServingStatus.SERVING}

    def set(self, part: str, *, serving: bool) -> None:
        self._parts[part] = ServingStatus.SERVING if serving else ServingStatus.NOT_SERVING

    async def Check(self, request: api.HealthCheckRequest, context: Any) -> api.HealthCheckResponse:
        if not request.service:
            return api.HealthCheckResponse(status=ServingStatus.SERVING)
        status = self._parts.get(request.service)
        if status is None:
            raise UnknownServiceError
        return api.HealthCheckResponse(status=status)
