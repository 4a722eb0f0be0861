"""Where to listen, as text and as a value."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chute.config.bind import Bind, FdBind, TcpBind, UnixBind, parse_bind
from chute.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:8000", TcpBind("127.0.0.1", 8000)),
        ("localhost:0", TcpBind("localhost", 0)),
        (":8000", TcpBind("", 8000)),
        ("*:8000", TcpBind("", 8000)),
        ("[::1]:80", TcpBind("::1", 80)),
        ("[::]:65535", TcpBind("::", 65535)),
        ("[fe80::1%eth0]:80", TcpBind("fe80::1%eth0", 80)),
        ("unix:/run/chute.sock", UnixBind("/run/chute.sock")),
        ("unix:relative:with:colons", UnixBind("relative:with:colons")),
        ("unix:8000", UnixBind("8000")),
        ("fd:3", FdBind(3)),
        ("fd:0", FdBind(0)),
    ],
)
def test_address_is_understood(text: str, bind: Bind):
    assert parse_bind(text) == bind


@pytest.mark.parametrize(
    "text",
    [
        *("", "localhost", "8000", ":", "localhost:", "localhost:http", "localhost:-1", "host: 80"),
        *("localhost:65536", "localhost:123456", "::1:80", "[::1]", "[::1]80", "[]:80", "[::1:80"),
        *("unix:", "fd:", "fd:x", "fd:-1", "fd:\u0663", "http://localhost:80", "a:b:80", "h:80\n"),
    ],
)
def test_other_text_is_refused_with_an_example(text: str):
    with pytest.raises(ConfigError) as caught:
        parse_bind(text)
    assert repr(text) in str(caught.value)
    assert "127.0.0.1:8000" in caught.value.hint


PORTS = st.integers(0, 65535)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-.", max_size=20)
BINDS = st.one_of(
    st.builds(TcpBind, st.one_of(NAMES, st.ip_addresses().map(str)), PORTS),
    st.builds(UnixBind, st.text(min_size=1)),
    st.builds(FdBind, st.integers(0, 10**6)),
)


@given(BINDS)
def test_text_and_value_say_the_same(bind: Bind):
    if bind in (TcpBind("unix", getattr(bind, "port", 0)), TcpBind("fd", getattr(bind, "port", 0))):
        return  # a host of that name cannot be written without its dot
    assert parse_bind(str(bind)) == bind


@given(BINDS)
def test_value_survives_json(bind: Bind):
    encoded = msgspec.json.encode(bind)
    assert msgspec.json.decode(encoded, type=TcpBind | UnixBind | FdBind) == bind
