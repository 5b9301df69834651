"""What a request for another root CA makes of the cluster's, and when it is refused."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from swarmd import api
from swarmd.errors import InvalidArgumentError
from swarmd.security.certificates import check_chain, parse_chain
from swarmd.security.root_ca import RootCA
from tests.fakes.clock import START
from tests.unit.security.builders import node_of
from workers.manager.control.root_rotation import endpoints, is_cross_signed_outside, wanted_root

OLD, NEXT, OTHER = (RootCA.create(START) for _ in range(3))
URL = "https://ca.example:8888/api/v1/cfssl/sign"


def cluster(root: RootCA = OLD, *, key: bool = True, following: RootCA | None = None):
    made = api.Cluster(
        root_ca=api.RootCA(
            ca_cert=root.certificate_pem, ca_key=root.key_pem if key else b"", ca_cert_hash="h"
        )
    )
    if following is not None:
        made.root_ca.root_rotation.ca_cert = following.certificate_pem
        made.root_ca.root_rotation.ca_key = following.key_pem
    return made


def given(root: RootCA, *, key: bool = True, **fields) -> api.CAConfig:
    return api.CAConfig(
        signing_ca_cert=root.certificate_pem,
        signing_ca_key=root.key_pem if key else b"",
        **fields,
    )


def same_key(root: RootCA) -> bytes:
    """Another certificate of the same root's key."""
    key, old = load_pem_private_key(root.key_pem, None), parse_chain(root.certificate_pem)[0]
    builder = x509.CertificateBuilder(
        old.subject, old.subject, key.public_key(), old.serial_number + 1
    )
    builder = builder.not_valid_before(old.not_valid_before_utc)
    builder = builder.not_valid_after(old.not_valid_after_utc)
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_request_that_says_nothing_changes_nothing():
    present = cluster()
    assert present.root_ca == wanted_root(present, api.CAConfig(), [], START)


def test_a_forced_rotation_begins_with_a_root_made_here():
    root = wanted_root(cluster(), api.CAConfig(force_rotate=3), [], START)
    following = root.root_rotation
    assert (OLD.certificate_pem, 3) == (root.ca_cert, root.last_forced_rotation)
    assert following.ca_cert not in (b"", OLD.certificate_pem)
    RootCA(following.ca_cert, following.ca_key).signer()


def test_the_intermediate_leads_from_the_next_root_to_the_present_one():
    root = wanted_root(cluster(), given(NEXT), [], START)
    intermediate = parse_chain(root.root_rotation.cross_signed_ca_cert)
    check_chain(intermediate, parse_chain(OLD.certificate_pem))
    assert parse_chain(NEXT.certificate_pem)[0].public_key() == intermediate[0].public_key()


def test_white_space_around_a_root_is_no_other_root():
    config = given(NEXT)
    config.signing_ca_cert = b"\n\n" + config.signing_ca_cert + b"\n"
    root = wanted_root(cluster(), config, [], START)
    assert NEXT.certificate_pem == root.root_rotation.ca_cert


def test_the_present_root_calls_a_rotation_off():
    root = wanted_root(cluster(following=NEXT), given(OLD), [], START)
    assert not root.HasField("root_rotation")
    assert OLD.key_pem == root.ca_key


def test_the_next_root_again_lets_the_rotation_go_on():
    present = wanted_root(cluster(), given(NEXT), [], START)
    again = wanted_root(api.Cluster(root_ca=present), given(NEXT), [], START)
    assert present == again


def test_another_root_takes_the_place_of_the_next():
    root = wanted_root(cluster(following=NEXT), given(OTHER), [], START)
    assert OTHER.certificate_pem == root.root_rotation.ca_cert


def test_a_key_that_arrives_makes_an_external_root_our_own():
    root = wanted_root(cluster(key=False), given(OLD), [], START)
    assert OLD.key_pem == root.ca_key


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (api.CAConfig(signing_ca_key=OLD.key_pem), "signing CA cert must also be provided"),
        (api.CAConfig(signing_ca_cert=b"garbage"), "not a certificate"),
        (given(RootCA(NEXT.certificate_pem, OTHER.key_pem)), "does not belong"),
        (given(RootCA(NEXT.certificate_pem + OTHER.certificate_pem, b"x")), "multiple"),
        (given(NEXT, key=False), "reachable external CA corresponding to the desired"),
        (given(RootCA.create(START - 19.5 * 365 * 24 * 3600)), "expires too soon"),
        (given(RootCA.create(START + 7200)), "not valid yet"),
        (given(RootCA(same_key(OLD), OLD.key_pem)), "identical key"),
        (
            api.CAConfig(external_cas=[api.ExternalCA(url=URL)]),
            "reachable external CA corresponding to the current",
        ),
    ],
)
def test_what_could_not_work_is_refused(config: api.CAConfig, words: str):
    with pytest.raises(InvalidArgumentError, match=words):
        wanted_root(cluster(), config, [], START)


def test_a_node_certificate_makes_no_root():
    leaf = node_of(OLD, START)
    config = api.CAConfig(signing_ca_cert=leaf.certificate_pem, signing_ca_key=leaf.key_pem)
    with pytest.raises(InvalidArgumentError, match="was not signed by"):
        wanted_root(cluster(), config, [], START)


def test_an_external_ca_that_answers_is_taken():
    config = given(NEXT, key=False)
    config.external_cas.add(url=URL, ca_cert=NEXT.certificate_pem)
    reachable = endpoints(config.external_cas, OLD.certificate_pem)
    assert [(URL, NEXT.certificate_pem)] == reachable
    root = wanted_root(cluster(), config, reachable, START)
    assert (NEXT.certificate_pem, b"") == (root.root_rotation.ca_cert, root.root_rotation.ca_key)


def test_from_one_external_ca_to_another_there_is_no_way():
    config = given(NEXT, key=False)
    reachable = [(URL, OLD.certificate_pem), (URL, NEXT.certificate_pem)]
    with pytest.raises(InvalidArgumentError, match="from one external CA to a different"):
        wanted_root(cluster(key=False), config, reachable, START)


def test_an_external_ca_is_asked_to_cross_sign_where_the_present_key_is_not_here():
    reachable = [(URL, OLD.certificate_pem)]
    root = wanted_root(cluster(key=False), given(NEXT), reachable, START)
    assert is_cross_signed_outside(root)
    assert not is_cross_signed_outside(wanted_root(cluster(), given(NEXT), [], START))
