"""Questions about volumes: how they are, and in whose words."""

from typing import Final

from swarmd import api

FAILURE: Final = "swarmd.failure"
"""The entry of a volume's indices that says why it could not be made, or deleted.

A volume has no status of its own on the wire, and clients pass this on as it is.
"""
_Scope = api.VolumeAccessMode.Scope
_Sharing = api.VolumeAccessMode.Sharing
SCOPES: Final = {"single": _Scope.SINGLE_NODE, "multi": _Scope.MULTI_NODE}
SHARINGS: Final = {
    "none": _Sharing.NONE,
    "readonly": _Sharing.READ_ONLY,
    "onewriter": _Sharing.ONE_WRITER,
    "all": _Sharing.ALL,
}
AVAILABILITIES: Final = {
    name.lower(): value for name, value in api.VolumeSpec.VolumeAvailability.items()
}


def failure(volume: api.Volume) -> str:
    """Why it could not be made, or deleted; nothing where all is well."""
    indices = volume.spec.annotations.indices
    return next((one.val for one in indices if one.key == FAILURE), "")


def status(volume: api.Volume) -> str:
    """How far it is, in the words of `docker volume ls --cluster`."""
    if volume.pending_delete:
        return "pending removal"
    if not volume.volume_info.volume_id:
        return "pending creation"
    count = len(volume.publish_status)
    if not count:
        return "created"
    return f"in use ({count} node{'s' if count > 1 else ''})"
