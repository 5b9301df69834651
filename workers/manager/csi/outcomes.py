"""What a call's end changes about its volume: each edits a copy that is ours (pure)."""

from collections.abc import Mapping, Sequence
from typing import Final

from swarmd import api
from swarmd.api.volumes import FAILURE
from workers.manager.csi.plan import Act, State, Step

_DOING: Final = {
    Act.CREATE: "creating",
    Act.PUBLISH: "publishing",
    Act.UNPUBLISH: "unpublishing",
    Act.DELETE: "deleting",
}


def settled(volume: api.Volume, statuses: Sequence[api.VolumePublishStatus]) -> None:
    """Where it is to be."""
    _replace(volume, statuses)


def created(volume: api.Volume, info: api.VolumeInfo) -> None:
    volume.volume_info.CopyFrom(info)
    _clear_failure(volume)


def published(volume: api.Volume, node_id: str, context: Mapping[str, str]) -> None:
    for status in volume.publish_status:
        if status.node_id == node_id and status.state == State.PENDING_PUBLISH:
            status.state, status.message = State.PUBLISHED, ""
            status.publish_context.clear()
            status.publish_context.update(context)


def unpublished(volume: api.Volume, node_id: str) -> None:
    _replace(volume, [one for one in volume.publish_status if one.node_id != node_id])


def failed(volume: api.Volume, step: Step, error: str) -> None:
    """Say so: for a node in its publish status, else in the volume's indices."""
    sentence = f"error {_DOING[step.act]} volume: {error}"
    if step.node_id:
        for status in volume.publish_status:
            if status.node_id == step.node_id:
                status.message = sentence
    else:
        _clear_failure(volume)
        volume.spec.annotations.indices.add(key=FAILURE, val=sentence)


def _clear_failure(volume: api.Volume) -> None:
    kept = [one for one in volume.spec.annotations.indices if one.key != FAILURE]
    del volume.spec.annotations.indices[:]
    volume.spec.annotations.indices.extend(kept)


def _replace(volume: api.Volume, statuses: Sequence[api.VolumePublishStatus]) -> None:
    kept = list(statuses)
    del volume.publish_status[:]
    volume.publish_status.extend(kept)
