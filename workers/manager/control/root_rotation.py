"""A new root CA as asked by the user: what the cluster's root becomes, or why not (pure).

    signing_ca_cert     force_rotate    then
    none                as before       nothing changes
    none                another         a change to a root made here begins
    the present root    any             a change under way is called off; the key is taken over
    the following root  any             the change goes on; the key is taken over
    another             any             a change to that root begins, in the place of any other

`reachable` are the external CAs of the request that answered, each as (URL, the root it signs for).
A root without a key is good for something only where one of them signs for it.
"""

from collections.abc import Collection, Iterable

from swarmd import api
from swarmd.errors import InvalidArgumentError
from swarmd.security.certificates import BadCertificateError
from swarmd.security.root_ca import RootCA, check_root, normalized
from workers.manager.control.handlers import Endpoint


def endpoints(external_cas: Iterable[api.ExternalCA], present_root: bytes) -> list[Endpoint]:
    """The external CAs with the root that each signs for: the present one, if it does not say."""
    return [
        (one.url, _normalized(one.ca_cert, present_root))
        for one in external_cas
        if one.protocol == api.ExternalCA.CAProtocol.CFSSL
    ]


def wanted_root(
    cluster: api.Cluster, wanted: api.CAConfig, reachable: Collection[Endpoint], now: float
) -> api.RootCA:
    """The cluster's root after this request; raises InvalidArgumentError.

    The intermediate of a change is left out where this manager cannot make it.
    """
    present, given = cluster.root_ca, _normalized(wanted.signing_ca_cert, b"")
    if wanted.signing_ca_key and not given:
        raise InvalidArgumentError(
            "if a signing CA key is provided, the signing CA cert must also be provided"
        )
    key_arrives = bool(wanted.signing_ca_key) and given == present.ca_cert
    if not present.ca_key and not key_arrives:
        _need_external(reachable, present.ca_cert, "current")
    if not given:
        return _as_told_or_new(cluster, wanted, reachable, now)
    _check_given(given, wanted.signing_ca_key, now)
    if not wanted.signing_ca_key:
        _need_external(reachable, given, "desired")
    return _with_given(present, given, wanted)


def _as_told_or_new(
    cluster: api.Cluster, wanted: api.CAConfig, reachable: Collection[Endpoint], now: float
) -> api.RootCA:
    present = cluster.root_ca
    if present.last_forced_rotation != wanted.force_rotate:
        made = RootCA.create(now)
        return _change(present, made.certificate_pem, made.key_pem, wanted.force_rotate)
    following = present.root_rotation
    if present.HasField("root_rotation") and not following.ca_key:
        _need_external(reachable, following.ca_cert, "next")
    if wanted.external_cas != cluster.spec.ca_config.external_cas and wanted.external_cas:
        # SwarmKit believes it, and then no node can join.
        _need_external(reachable, (following.ca_cert or present.ca_cert), "current")
    return present


def _with_given(present: api.RootCA, given: bytes, wanted: api.CAConfig) -> api.RootCA:
    if given == present.ca_cert:
        kept = _copy(present, wanted.force_rotate)
        kept.ca_key = wanted.signing_ca_key
        kept.ClearField("root_rotation")
        return kept
    if wanted.signing_ca_key and wanted.signing_ca_key == present.ca_key:
        raise InvalidArgumentError("Cannot update to a cert with an identical key")
    if present.HasField("root_rotation") and given == present.root_rotation.ca_cert:
        kept = _copy(present, wanted.force_rotate)
        kept.root_rotation.ca_key = wanted.signing_ca_key
        return kept
    return _change(present, given, wanted.signing_ca_key, wanted.force_rotate)


def _change(present: api.RootCA, certificate: bytes, key: bytes, version: int) -> api.RootCA:
    if not present.ca_key and not key:
        raise InvalidArgumentError(
            "rotating from one external CA to a different external CA is not supported"
        )
    intermediate = _cross_signed(present, certificate) if present.ca_key else b""
    changed = _copy(present, version)
    changed.root_rotation.CopyFrom(
        api.RootRotation(ca_cert=certificate, ca_key=key, cross_signed_ca_cert=intermediate)
    )
    return changed


def _cross_signed(present: api.RootCA, certificate: bytes) -> bytes:
    try:
        return RootCA(present.ca_cert, present.ca_key).signer().cross_sign(certificate)
    except BadCertificateError as error:
        raise InvalidArgumentError(f"the current root CA cannot sign the next: {error}") from error


def is_cross_signed_outside(root: api.RootCA) -> bool:
    """The present root's key is not known here: an external CA has to make the intermediate."""
    changes = root.HasField("root_rotation")
    return changes and not (root.ca_key or root.root_rotation.cross_signed_ca_cert)


def _check_given(certificate: bytes, key: bytes, now: float) -> None:
    check_root(certificate, now)
    if key:
        RootCA(certificate, key).signer()


def _need_external(reachable: Collection[Endpoint], root: bytes, name: str) -> None:
    if not any(signs_for == root for _, signs_for in reachable):
        raise InvalidArgumentError(
            "there must be at least one valid, reachable external CA corresponding to the"
            f" {name} CA certificate"
        )


def _copy(root: api.RootCA, version: int) -> api.RootCA:
    copy = api.RootCA()
    copy.CopyFrom(root)
    copy.last_forced_rotation = version
    return copy


def _normalized(pem: bytes, absent: bytes) -> bytes:
    """SwarmKit's clients send a certificate that is empty but for white space, too."""
    return normalized(pem) if pem.strip() else absent
