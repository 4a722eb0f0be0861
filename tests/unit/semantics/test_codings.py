"""Accept-Encoding: which codings a client accepts, the best first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.semantics.codings import ACCEPT_ENCODING_BYTES_MAX, acceptable_codings

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
        pytest.param(b"gzip;q=1, gzip;q=0", "gzip identity", id="the first of two"),
        pytest.param(b"deflate, compress", "identity", id="none on offer"),
        pytest.param(b"gzip;q=1.1", "identity", id="weight above one"),
        pytest.param(b"gzip;q=0.0001", "identity", id="four decimals"),
        pytest.param(b"gzip;level=9", "identity", id="a parameter"),
        pytest.param(b"gzip br", "identity", id="no comma"),
        pytest.param(b"gzip;q=", "identity", id="no weight"),
        pytest.param(b"\xff", "identity", id="no token"),
        pytest.param(b"gzip," * 200, "identity", id="too long"),
    ],
)
def test_field_is_understood(value: bytes | None, expected: str):
    assert acceptable_codings(value, OFFERS) == tuple(expected.encode().split())


def test_order_of_the_offers_decides_between_equals():
    assert acceptable_codings(b"br, gzip, zstd", (b"gzip", b"br")) == (b"gzip", b"br", b"identity")


@given(st.binary(max_size=ACCEPT_ENCODING_BYTES_MAX + 10))
def test_any_value_has_an_answer(value: bytes):
    acceptable = acceptable_codings(value, OFFERS)
    assert len(set(acceptable)) == len(acceptable)
    assert set(acceptable) <= {*OFFERS, b"identity"}


WEIGHTS = st.integers(min_value=0, max_value=1000)


@given(st.dictionaries(st.sampled_from([*OFFERS, b"identity", b"*", b"deflate"]), WEIGHTS))
def test_well_formed_values_agree_with_a_plain_model(weights: dict[bytes, int]):
    value = b",".join(b"%b;q=%.3f" % (name, weight / 1000) for name, weight in weights.items())
    acceptable = acceptable_codings(value, OFFERS)
    for offer in OFFERS:
        assert (offer in acceptable) == (weights.get(offer, weights.get(b"*", 0)) > 0)
    assert (b"identity" in acceptable) == (weights.get(b"identity", weights.get(b"*", 1)) > 0)
    stated = [weights.get(name, weights.get(b"*", 0)) for name in acceptable]
    assert stated == sorted(stated, reverse=True)
