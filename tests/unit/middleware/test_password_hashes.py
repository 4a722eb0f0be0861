"""Passwords and their hashes: those of the specification, of `openssl passwd`, of `htpasswd` and of the libraries."""

from __future__ import annotations

import importlib
import shutil
import subprocess

import pytest

from chute.errors import ConfigError
from chute.middleware import password_hashes
from chute.middleware.password_hashes import check_of, is_weak

HTPASSWD = shutil.which("htpasswd")
OPENSSL = shutil.which("openssl")

LONG = "ä" * 60
"""120 bytes: more than one block of every hash here but SHA-512, and no ASCII."""

BCRYPT = b"$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
BCRYPT_OF_72 = b"$2b$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe"
ARGON2 = b"$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$vk+JgWgZGbXHtEqPQPhzXbD+QxxkJR5Fq2AXLhDyYaY"

# The first five are Drepper's own; the others are from `openssl passwd`, {SHA} from `htpasswd`.
KNOWN = {
    "SHA-256": ("Hello world!", b"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    "SHA-512": (
        "Hello world!",
        (
            b"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJ"
            b"uesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
        ),
    ),
    "SHA-256 with rounds": (
        "Hello world!",
        b"$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
    ),
    "SHA-512 with rounds": (
        "Hello world!",
        (
            b"$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnC"
            b"M/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."
        ),
    ),
    "SHA-256 of a long password": (
        LONG,
        b"$5$abcdefghijklmnop$NgpSKIXKCUB5lSVVRIu2lOcCay7osO73SUdy/vHqja1",
    ),
    "SHA-512 of a long password": (
        LONG,
        (
            b"$6$abc$FTJ7zH.WI0EasC0VHEBRem11D91N5oAlrMu5Wfih.d8ynMKJYRSjetROynnKsUe4"
            b"ba87Xa.xSlXc/hyJK82Wm1"
        ),
    ),
    "apr1": ("secret", b"$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/"),
    "apr1 with a short salt": ("x", b"$apr1$a$CwOs8ZUV1Vmp.iAwImfTn1"),
    "apr1 of a long password": (LONG, b"$apr1$abcdefgh$Bv9vxEptZtPPso3lS6ltw."),
    "apr1 of an empty password": ("", b"$apr1$abc$BfqKdn9xFDWJPa3kcp/PH0"),
    "{SHA}": ("secret", b"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="),
    "{SSHA}": ("secret", b"{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0"),
}


@pytest.mark.parametrize(("password", "hashed"), KNOWN.values(), ids=KNOWN.keys())
def test_only_the_right_password_fits(password: str, hashed: bytes):
    check = check_of(hashed)
    assert check(password.encode())
    assert not check(password.encode() + b"x")
    assert not check(password.encode()[:-1] + b"y")


def test_bcrypt_fits_under_each_of_its_names():
    pytest.importorskip("bcrypt")
    for name in (b"$2a", b"$2b", b"$2y"):
        check = check_of(name + BCRYPT[3:])
        assert check(b"secret")
        assert not check(b"Secret")


def test_bcrypt_reads_72_bytes_of_a_password_as_htpasswd_does():
    """The library raises for more, which would shut out whoever has such a password."""
    pytest.importorskip("bcrypt")
    check = check_of(BCRYPT_OF_72)
    assert check(b"a" * 72)
    assert check(b"a" * 73)
    assert not check(b"a" * 71)


def test_argon2_fits_the_right_password():
    pytest.importorskip("argon2")
    check = check_of(ARGON2)
    assert check(b"secret")
    assert not check(b"Secret")


@pytest.mark.parametrize("hashed", [BCRYPT, ARGON2], ids=["bcrypt", "argon2"])
def test_missing_library_is_an_error_that_says_how_to_get_it(
    hashed: bytes, monkeypatch: pytest.MonkeyPatch
):
    def fail(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ConfigError, match="not installed") as caught:
        check_of(hashed)
    assert caught.value.hint == "pip install 'chute[auth]'"


REFUSED = {
    "plain text": b"secret",
    "nothing": b"",
    "crypt(3)": b"rBaU13EiKpjus",
    "half of a bcrypt hash": BCRYPT[:40],
    "bcrypt that takes days": b"$2y$31$" + BCRYPT[7:],
    "bcrypt that takes nothing": b"$2y$03$" + BCRYPT[7:],
    "argon2 that takes all memory": ARGON2.replace(b"m=8,", b"m=9999999,"),
    "argon2 that takes days": ARGON2.replace(b"m=8,t=1,", b"m=65536,t=9999,"),
    "argon2i": ARGON2.replace(b"argon2id", b"argon2i"),
    "SHA-crypt that takes minutes": KNOWN["SHA-256 with rounds"][1].replace(b"10000", b"999999999"),
    "SHA-crypt with too few rounds": KNOWN["SHA-256 with rounds"][1].replace(b"10000", b"999"),
    "SHA-512 that says it is SHA-256": KNOWN["SHA-512"][1].replace(b"$6$", b"$5$"),
    "MD5-crypt": b"$1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/",
    "{SSHA} without salt": b"{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "{SHA} of something else": b"{SHA}c2VjcmV0",
}


@pytest.mark.parametrize("hashed", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_checked_is_refused_and_not_shown(hashed: bytes):
    with pytest.raises(ConfigError) as caught:
        check_of(hashed)
    shown = f"{caught.value} {caught.value.hint}"
    assert not hashed or hashed.decode() not in shown
    assert hashed[-10:].decode() not in shown or not hashed


def test_fast_hashes_are_called_weak():
    weak = {name for name, (_, hashed) in KNOWN.items() if is_weak(hashed)}
    assert weak == {name for name in KNOWN if name.startswith(("apr1", "{"))}
    assert not is_weak(BCRYPT)
    assert not is_weak(ARGON2)


@pytest.mark.skipif(HTPASSWD is None, reason="htpasswd is not installed (apache2-utils)")
@pytest.mark.parametrize("password", ["secret", "pass:word ", LONG], ids=["short", "colon", "long"])
@pytest.mark.parametrize("options", ["-B", "-BC 6", "-m", "-s", "-2", "-5", "-5r 1234"])
def test_hash_that_htpasswd_makes_fits(options: str, password: str):
    if "B" in options:
        pytest.importorskip("bcrypt")
    made = subprocess.run(
        [str(HTPASSWD), "-ni", *options.split(), "user"],
        input=password.encode(),
        capture_output=True,
    )
    if made.returncode:
        pytest.skip(f"this htpasswd has no {options}")
    hashed = made.stdout.strip().removeprefix(b"user:")
    check = check_of(hashed)
    assert check(password.encode())
    assert not check(b"x" + password.encode())


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
@pytest.mark.parametrize("option", ["-5", "-6", "-apr1"])
def test_hash_that_openssl_makes_fits_for_every_length_of_password(option: str):
    """Lengths around the blocks and digests of the hashes, and every pattern of low bits."""
    passwords = [b"p" * count for count in (*range(1, 18), 31, 32, 33, 63, 64, 65, 127, 128, 129)]
    made = subprocess.run(
        [str(OPENSSL), "passwd", option, "-stdin"],
        input=b"\n".join(passwords) + b"\n",
        capture_output=True,
    )
    if made.returncode:
        pytest.skip(f"this openssl has no passwd {option}")
    for password, hashed in zip(passwords, made.stdout.split(), strict=True):
        assert check_of(hashed)(password), f"{len(password)} bytes"


def test_bounds_leave_room_for_what_is_recommended():
    assert password_hashes.ARGON2_KIB_MAX >= 2 * 1024 * 1024
    assert password_hashes.SHA_CRYPT_ROUNDS_MAX > 5000
