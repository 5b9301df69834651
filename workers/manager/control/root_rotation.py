"""A new root as asked by the user: refused until the CA can carry it out (pure).

An external CA that nobody answers would keep every new node out, so it is not taken on trust.
"""

from typing import Final

from swarmd import api
from swarmd.errors import InvalidArgumentError, UnimplementedError

_PEM: Final = b"-----BEGIN CERTIFICATE-----"


def check_ca_config(cluster: api.Cluster, wanted: api.CAConfig) -> None:
    """Raises a SwarmError unless the cluster keeps the root, and the signer, that it has."""
    given = _PEM in wanted.signing_ca_cert
    if wanted.signing_ca_key and not given:
        raise InvalidArgumentError(
            "if a signing CA key is provided, the signing CA cert must also be provided"
        )
    if given or wanted.force_rotate != cluster.root_ca.last_forced_rotation:
        raise UnimplementedError("rotating the root CA is not implemented yet")
    if list(wanted.external_cas) != list(cluster.spec.ca_config.external_cas):
        raise UnimplementedError("external CAs are not implemented yet")
