"""Keys under an unlock key: what OpenSSL seals in SwarmKit's form we open, and the other way."""

import base64
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization

from swarmd.security import sealed_key
from swarmd.security.certificates import new_request

UNLOCK_KEY = b"0123456789abcdef0123456789abcdef"
# By OpenSSL: pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA1 -iter 2048
SEALED = """
MIHeMEkGCSqGSIb3DQEFDTA8MBsGCSqGSIb3DQEFDDAOBAjB4VJfEFjqVwICCAAwHQYJYIZIAWUDBAEqBBAHKP32fJRn9UKH
lgOHu5miBIGQCnrZGovdvnzrK7Nsfd8eg/je3LwGubanAt+j+g6E3YeBjfzU4CMkqlB2EA9BLuuEyOshwE4ybun94uP33HFq
138hbpi4lXwX6qM/k+V+lflERYfkAFB0rK0kK1DKqB3Aig7RgpqMWb6fE9efMyQYt7A3qKDwGhXZEi8HVTnPGUZa+cjbn1vP
w3XRnphyFhj5
"""
PLAIN = """
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMBhMeFVkqqDtmN9OyRkq/Gm7iIfEXvA6MurjEQLtAwShRANC
AASFegvvzrz0g4CFUc/lLT6FSh+zCWqPM89xHqdSiOSHLIB1gg2p6/+TX0nGVSraViJqL+EzBnPmS75nDwu4uDYB
"""


def _der(text: str) -> bytes:
    return base64.b64decode(text)


def _new_key() -> bytes:
    key = serialization.load_pem_private_key(new_request()[1], None)
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def test_what_another_program_sealed_opens():
    assert _der(PLAIN) == sealed_key.unseal(_der(SEALED), UNLOCK_KEY)


def test_what_is_sealed_opens_again():
    key = _new_key()
    assert key == sealed_key.unseal(sealed_key.seal(key, UNLOCK_KEY), UNLOCK_KEY)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_openssl_opens_what_we_sealed(tmp_path):
    key, sealed = _new_key(), tmp_path / "sealed"
    sealed.write_bytes(sealed_key.seal(key, UNLOCK_KEY))
    argv = ["openssl", "pkcs8", "-inform", "DER", "-outform", "DER", "-in", str(sealed)]
    password = f"pass:{UNLOCK_KEY.decode()}"
    done = subprocess.run([*argv, "-passin", password], capture_output=True, check=True)
    theirs = serialization.load_der_private_key(done.stdout, None)
    ours = serialization.load_der_private_key(key, None)
    assert ours.private_numbers() == theirs.private_numbers()


def test_the_form_is_swarmkits_to_the_byte():
    """Salt, IV and content aside: the older PBES2 that names no hash, 2048 rounds."""
    ours, theirs = sealed_key.seal(_der(PLAIN), UNLOCK_KEY), _der(SEALED)
    assert len(theirs) == len(ours)
    parts = (slice(35), slice(43, 62), slice(78, 81))
    assert [theirs[part] for part in parts] == [ours[part] for part in parts]


@pytest.mark.parametrize("wrong", [b"x" * 32, b"", UNLOCK_KEY[:-1]])
def test_a_wrong_key_opens_nothing(wrong):
    with pytest.raises(ValueError, match="does not open"):
        sealed_key.unseal(_der(SEALED), wrong)


@pytest.mark.parametrize("garbage", [b"", b"\x30", b"garbage", bytes(200)])
def test_garbage_opens_nothing(garbage):
    with pytest.raises(ValueError, match="does not open"):
        sealed_key.unseal(garbage, UNLOCK_KEY)
