"""Accept-Encoding: which codings a client accepts, the best first."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chute.semantics.codings import ACCEPT_ENCODING_BYTES_MAX, IDENTITY, acceptable_codings

OFFERS = (b"zstd", b"br", b"gzip")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, "identity", id="absent"),
        pytest.param(b"", "identity", id="empty"),
        pytest.param(b" , ,", "identity", id="empty members"),
        pytest.param(b"gzip, deflate, br, zstd", "zstd br gzip identity", id="a browser"),
        pytest.param(b"gzip", "gzip identity", id="one"),
        pytest.param(b"GZip", "gzip identity", id="case does not matter"),
        pytest.param(b"x-gzip", "gzip identity", id="old name"),
        pytest.param(b"gzip;q=0.5,br;q=0.8", "br gzip identity", id="weights"),
        pytest.param(b"gzip ; q=0.5 , br ; Q=0.501", "br gzip identity", id="white space"),
        pytest.param(b"gzip;q=0", "identity", id="excluded"),
        pytest.param(b"gzip;q=0.000", "identity", id="excluded with decimals"),
        pytest.param(b"*", "zstd br gzip identity", id="anything"),
        pytest.param(b"*;q=0", "", id="nothing"),
        pytest.param(b"gzip, *;q=0", "gzip", id="nothing else"),
        pytest.param(b"gzip;q=0, *", "zstd br identity", id="anything else"),
        pytest.param(b"identity;q=0", "", id="not as it is"),
        pytest.param(b"identity;q=0, br", "br", id="only coded"),
        pytest.param(b"identity, gzip;q=0.5", "identity gzip", id="rather as it is"),
        pytest.param(b"identity;q=0.5, *;q=0.2", "identity zstd br gzip", id="rather than any"),
        pytest.param(b"*;q=0, identity;q=0.1", "identity", id="only as it is"),
        pytest.param(b"gzip;q=0.001", "gzip identity", id="the least weight"),
        pytest.param(b"identity;q=0.001, *;q=0.002", "zstd br gzip identity", id="three decimals"),
        pytest.param(b"gzip;q=1.000, br;q=0.999", "gzip br identity", id="one with decimals"),
        pytest.param(b"gzip;q=1., br;q=0.", "gzip identity", id="no digit behind the point"),
        pytest.param(b"gzip;q=1, gzip;q=0", "gzip identity", id="the first of two"),
        pytest.param(b"x-gzip;q=0, gzip", "identity", id="the first of two names"),
        pytest.param(b"IDENTITY;q=0, BR", "br", id="case of identity does not matter"),
        pytest.param(b"deflate, compress", "identity", id="none on offer"),
        pytest.param(b"gzip;q=1.1", "identity", id="weight above one"),
        pytest.param(b"gzip;q=0.0001", "identity", id="four decimals"),
        pytest.param(b"gzip;level=9", "identity", id="a parameter"),
        pytest.param(b"gzip br", "identity", id="no comma"),
        pytest.param(b"gzip;q=", "identity", id="no weight"),
        pytest.param(b"\xff", "identity", id="no token"),
        pytest.param(b"br;q=.5", "identity", id="weight without its zero"),
        pytest.param(b"br;q=nan", "identity", id="weight float() would take"),
        pytest.param(b"br\n", "identity", id="line feed behind it"),
        pytest.param(b"identity;q=0, br;q=2", "identity", id="one bad member"),
    ],
)
def test_field_is_understood(value: bytes | None, expected: str):
    assert acceptable_codings(value, OFFERS) == tuple(expected.encode().split())


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        pytest.param(ACCEPT_ENCODING_BYTES_MAX, (b"gzip", IDENTITY), id="as long as allowed"),
        pytest.param(ACCEPT_ENCODING_BYTES_MAX + 1, (IDENTITY,), id="one byte too long"),
        pytest.param(100_000, (IDENTITY,), id="100 KB"),
    ],
)
def test_length_is_bounded(length: int, expected: tuple[bytes, ...]):
    assert acceptable_codings(b"gzip".ljust(length, b","), OFFERS) == expected


def test_order_of_the_offers_decides_between_equals():
    assert acceptable_codings(b"br, gzip, zstd", (b"gzip", b"br")) == (b"gzip", b"br", IDENTITY)


def test_same_field_is_answered_anew_for_other_offers():
    value = b"gzip, br"
    assert acceptable_codings(value, [b"gzip", b"br"]) == (b"gzip", b"br", IDENTITY)
    assert acceptable_codings(value, [b"br", b"gzip"]) == (b"br", b"gzip", IDENTITY)
    assert acceptable_codings(value, []) == (IDENTITY,)


def test_identity_among_the_offers_is_told_once_and_last():
    assert acceptable_codings(b"*", (IDENTITY, b"br")) == (b"br", IDENTITY)


@given(
    st.binary(max_size=ACCEPT_ENCODING_BYTES_MAX + 10) | st.text("gzipbr*;q=01. ,").map(str.encode)
)
@example(b"gzip ;" * 80)
@example(b" " * ACCEPT_ENCODING_BYTES_MAX)
@example(b"gzip;q=0." * 50)
def test_any_value_has_an_answer(value: bytes):
    acceptable = acceptable_codings(value, OFFERS)
    assert len(set(acceptable)) == len(acceptable)
    assert set(acceptable) <= {*OFFERS, b"identity"}


CODINGS = st.sampled_from([*OFFERS, IDENTITY, b"*", b"deflate", b"x-gzip", b"GZIP", b"Br"])
WEIGHTS = st.integers(min_value=0, max_value=1000)


def plain_model(members: list[tuple[bytes, int]]) -> tuple[bytes, ...]:
    """Ask for each coding alone what 12.5.3 asks; weights are in thousandths."""

    def weight_of(coding: bytes) -> int:
        names = {coding, b"x-" + coding} if coding == b"gzip" else {coding}
        for wanted in (names, {b"*"}):
            for name, weight in members:
                if name.lower() in wanted:
                    return weight
        return int(
            coding == IDENTITY
        )  # acceptable although nobody asked for it, but after all else

    codings = [*OFFERS, IDENTITY]
    best_first = sorted(codings, key=lambda coding: (-weight_of(coding), codings.index(coding)))
    return tuple(coding for coding in best_first if weight_of(coding) > 0)


@given(st.lists(st.tuples(CODINGS, WEIGHTS)))
def test_well_formed_values_agree_with_a_plain_model(members: list[tuple[bytes, int]]):
    value = b", ".join(b"%b;q=%.3f" % (name, weight / 1000) for name, weight in members)
    if len(value) <= ACCEPT_ENCODING_BYTES_MAX:
        assert acceptable_codings(value, OFFERS) == plain_model(members)
