"""Whether a password is the one that a hash was made of.

The forms that `htpasswd` and `openssl passwd` write, and those of nginx and argon2: bcrypt and argon2id, by libraries
that come with the extra `auth`; SHA-crypt (Drepper, "Unix crypt using SHA-256 and SHA-512"), apr1 (Apache's variant of
MD5-crypt), `{SHA}` and `{SSHA}` (RFC 2307), by the standard library alone.

Not here: what is no hash (plain text), and the DES of crypt(3), which looks at eight characters only.

Neither a hash nor a password is ever part of an error.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Final

from chute.errors import ConfigError

Check = Callable[[bytes], bool]
"""Whether a password is the right one. May take long: to be called in a thread."""

EXAMPLE: Final = "make one with: htpasswd -nBC 10 USER"

BCRYPT_COST_MAX: Final = 17
"""As `htpasswd` has it. Each step doubles the time, and this one is some 8 s."""

ARGON2_KIB_MAX: Final = 4 * 1024 * 1024
"""Memory times passes; room for both recommendations of RFC 9106, 4 (2 GiB once, 64 MiB three times)."""

SHA_CRYPT_ROUNDS_MAX: Final = 100_000
"""The usual count is 5,000. Python does them one by one, holding the interpreter's lock: 0.1 s at this bound."""

_Digest = Callable[[bytes], bytes]

_BCRYPT_BYTES = 72  # the algorithm reads no further; the library refuses a longer password

_BASE64 = rb"[A-Za-z0-9+/]"
_CRYPT64 = rb"[./0-9A-Za-z]"
_CRYPT64_DIGITS = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def check_of(hashed: bytes) -> Check:
    """Return the check of a password against `hashed`.

    Raises:
        ConfigError: it is no hash of a kind that is known here, costs too much to check, or takes a library that is
            not installed.
    """
    for pattern, prepare in _KINDS.items():
        match = pattern.fullmatch(hashed)
        if match is not None:
            return prepare(match)
    raise ConfigError(
        "the password is not kept as bcrypt, argon2id, SHA-crypt, apr1, {SHA} or {SSHA}",
        hint=EXAMPLE,
    )


def is_weak(hashed: bytes) -> bool:
    """Whether a stolen `hashed` would soon be guessed, for it is fast to compute."""
    return hashed.startswith((b"{SHA}", b"{SSHA}", b"$apr1$"))


def _from_extra(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigError(
            f"the password is kept as {name}, and the library for it is not installed",
            hint="pip install 'chute[auth]'",
        ) from None


def _bcrypt(match: re.Match[bytes]) -> Check:
    if not 4 <= int(match[1]) <= BCRYPT_COST_MAX:
        raise ConfigError(f"the cost of the bcrypt hash is not between 4 and {BCRYPT_COST_MAX}")
    checkpw, hashed = _from_extra("bcrypt").checkpw, match[0]
    return lambda password: bool(checkpw(password[:_BCRYPT_BYTES], hashed))


def _argon2(match: re.Match[bytes]) -> Check:
    if int(match[1]) * int(match[2]) > ARGON2_KIB_MAX:
        raise ConfigError(f"the argon2 hash takes more than {ARGON2_KIB_MAX} KiB times passes")
    argon2, hashed = _from_extra("argon2"), match[0]
    hasher = argon2.PasswordHasher()

    def check(password: bytes) -> bool:
        try:
            return bool(hasher.verify(hashed, password))
        except argon2.exceptions.VerifyMismatchError:
            return False

    return check


def _salted_sha(match: re.Match[bytes]) -> Check:
    decoded = base64.b64decode(match[1])
    digest, salt = decoded[:20], decoded[20:]

    def check(password: bytes) -> bool:
        made = hashlib.sha1(password + salt, usedforsecurity=False).digest()
        return hmac.compare_digest(made, digest)

    return check


def _sha_crypt(match: re.Match[bytes]) -> Check:
    hash_of, order = _SHA_CRYPTS[match[1]]
    rounds = int(match[2] or 5000)
    if not 1000 <= rounds <= SHA_CRYPT_ROUNDS_MAX:
        raise ConfigError(
            f"the rounds of the SHA-crypt hash are not between 1000 and {SHA_CRYPT_ROUNDS_MAX}"
        )
    salt, hashed = match[3], match[4]

    def check(password: bytes) -> bool:
        digest = _sha_crypt_digest(hash_of, password, salt, rounds)
        return hmac.compare_digest(_in_crypt64(digest, order), hashed)

    return check


def _apr1(match: re.Match[bytes]) -> Check:
    salt, hashed = match[1], match[2]

    def check(password: bytes) -> bool:
        digest = _apr1_digest(password, salt)
        return hmac.compare_digest(_in_crypt64(digest, _APR1_ORDER), hashed)

    return check


_KINDS: Final[dict[re.Pattern[bytes], Callable[[re.Match[bytes]], Check]]] = {
    re.compile(rb"\$2[aby]\$([0-9]{2})\$%b{53}" % _CRYPT64): _bcrypt,
    re.compile(
        rb"\$argon2id\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,4}),p=[0-9]{1,3}\$%b{11,64}\$%b{16,128}"
        % (_BASE64, _BASE64)
    ): _argon2,
    re.compile(rb"\$(5)\$(?:rounds=([0-9]{1,9})\$)?(%b{0,16})\$(%b{43})" % (_CRYPT64, _CRYPT64)): (
        _sha_crypt
    ),
    re.compile(rb"\$(6)\$(?:rounds=([0-9]{1,9})\$)?(%b{0,16})\$(%b{86})" % (_CRYPT64, _CRYPT64)): (
        _sha_crypt
    ),
    re.compile(rb"\$apr1\$(%b{0,8})\$(%b{22})" % (_CRYPT64, _CRYPT64)): _apr1,
    re.compile(rb"\{SHA\}(%b{27}=)" % _BASE64): _salted_sha,  # with a salt of no bytes
    re.compile(
        rb"\{SSHA\}((?:%b{4}){7,}(?:%b{2}==|%b{3}=)?)" % (_BASE64, _BASE64, _BASE64)
    ): _salted_sha,
}


def _sha_crypt_digest(hash_of: _Digest, password: bytes, salt: bytes, rounds: int) -> bytes:
    """Return the digest of SHA-crypt; the numbers are the steps of its specification."""
    count = len(password)
    alternate = hash_of(password + salt + password)  # 4 to 8
    block = password + salt + _repeated(alternate, count)  # 1 to 3, 9 and 10
    for bit in _bits(count):  # 11
        block += alternate if bit else password
    digest = hash_of(block)  # 12
    stretched_password = _repeated(hash_of(password * count), count)  # 13 to 16
    stretched_salt = _repeated(hash_of(salt * (16 + digest[0])), len(salt))  # 17 to 20
    return _after_rounds(hash_of, digest, stretched_password, stretched_salt, rounds)  # 21


def _apr1_digest(password: bytes, salt: bytes) -> bytes:
    alternate = _md5(password + salt + password)
    block = password + b"$apr1$" + salt + _repeated(alternate, len(password))
    for bit in _bits(len(password)):
        block += b"\0" if bit else password[:1]
    return _after_rounds(_md5, _md5(block), password, salt, 1000)


def _after_rounds(
    hash_of: _Digest, digest: bytes, password: bytes, salt: bytes, rounds: int
) -> bytes:
    """Return `digest` after the rounds that MD5-crypt and SHA-crypt have in common."""
    for number in range(rounds):
        is_odd = number % 2
        block = password if is_odd else digest
        if number % 3:
            block += salt
        if number % 7:
            block += password
        digest = hash_of(block + (digest if is_odd else password))
    return digest


def _md5(block: bytes) -> bytes:
    return hashlib.md5(block, usedforsecurity=False).digest()


def _sha256(block: bytes) -> bytes:
    return hashlib.sha256(block).digest()


def _sha512(block: bytes) -> bytes:
    return hashlib.sha512(block).digest()


def _repeated(block: bytes, count: int) -> bytes:
    return (block * (count // len(block) + 1))[:count]


def _bits(number: int) -> Iterator[int]:
    """Yield the bits of `number`, the lowest first."""
    while number:
        yield number & 1
        number >>= 1


def _in_crypt64(digest: bytes, order: bytes) -> bytes:
    """Return the bytes of `digest`, taken in `order` as one number, in digits of six bits; the lowest come first."""
    number = int.from_bytes(bytes(digest[position] for position in order), "little")
    shifts = range(0, 8 * len(order), 6)
    return bytes(_CRYPT64_DIGITS[number >> shift & 63] for shift in shifts)


def _order(third: int, turn: int, rest: bytes) -> bytes:
    """Return an order of SHA-crypt: triples, each the one before turned by `turn` and counted up, and a rest."""
    order, triple = b"", [2 * third, third, 0]
    for _ in range(third):
        order += bytes(triple)
        triple = [position + 1 for position in triple[turn:] + triple[:turn]]
    return order + rest


_SHA_CRYPTS: Final = {
    b"5": (_sha256, _order(10, 1, b"\x1e\x1f")),
    b"6": (_sha512, _order(21, 2, b"\x3f")),
}
_APR1_ORDER: Final = bytes([12, 6, 0, 13, 7, 1, 14, 8, 2, 15, 9, 3, 5, 10, 4, 11])
