"""Ranges and preconditions on the wire, for a file in memory and for one that sendfile carries."""

from __future__ import annotations

import email
import email.policy
import os
import time
from pathlib import Path

import pytest

from running import Reply, RunningChute
from shared import shared_server

SMALL = bytes(range(256)) * 4
LARGE = bytes(range(251)) * 400
FILES = {"small.bin": SMALL, "large.bin": LARGE}


def fill(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))
    (folder / "empty.bin").write_bytes(b"")
    os.utime(folder / "empty.bin", (1_700_000_000, 1_700_000_000))


server = shared_server(fill)


@pytest.fixture(params=sorted(FILES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


SINGLE = {
    "first byte": ("bytes=0-0", 0, 1),
    "middle": ("bytes=100-199", 100, 100),
    "to the end": ("bytes=1000-", 1000, None),
    "last byte": ("bytes=-1", -1, 1),
    "suffix longer than the file": ("bytes=-999999999", 0, None),
    "last position far beyond the end": ("bytes=5-99999999999999999999999", 5, None),
    "unit in capitals": ("BYTES=0-4", 0, 5),
}


@pytest.mark.parametrize("case", SINGLE)
def test_t15_satisfiable_range_is_sent_exactly(server: RunningChute, name: str, case: str):
    value, offset, count = SINGLE[case]
    content = FILES[name]
    offset = offset if offset >= 0 else len(content) + offset
    count = len(content) - offset if count is None else count
    reply = server.get(f"/{name}", f"Range: {value}")
    assert reply.status == 206
    assert reply.body == content[offset : offset + count]
    assert reply["content-range"] == f"bytes {offset}-{offset + count - 1}/{len(content)}"


@pytest.mark.parametrize(
    "value",
    [
        "bytes=5-4",
        "bytes = 0-1",
        "bytes=",
        "bytes=a-b",
        "bytes=-",
        "items=0-1",
        "bytes=0x0-1",
        "bytes=0-1;q=1",
        "bytes=--1",
        "0-1",
        "",
    ],
)
def test_t15_malformed_range_is_ignored(server: RunningChute, name: str, value: str):
    reply = server.get(f"/{name}", f"Range: {value}")
    assert (reply.status, reply.body) == (200, FILES[name])
    assert "content-range" not in reply


@pytest.mark.parametrize("value", ["bytes=999999999-", "bytes=18446744073709551616-", "bytes=-0"])
def test_t15_unsatisfiable_range_is_refused_with_the_length(
    server: RunningChute, name: str, value: str
):
    reply = server.get(f"/{name}", f"Range: {value}")
    assert reply.status == 416
    assert reply["content-range"] == f"bytes */{len(FILES[name])}"


def test_t15_empty_file_is_sent_whole_whatever_the_range(server: RunningChute):
    for value in ("bytes=0-", "bytes=0-0", "bytes=-5"):
        reply = server.get("/empty.bin", f"Range: {value}")
        assert (reply.status, reply.body, reply["content-length"]) == (200, b"", "0"), value


def parts_of(reply: Reply) -> list[tuple[str, bytes]]:
    """Take a multipart answer apart with the parser of the standard library."""
    head = f"MIME-Version: 1.0\r\nContent-Type: {reply['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + reply.body, policy=email.policy.HTTP)
    assert message.is_multipart()
    assert not message.defects
    found = []
    boundary = message.get_boundary().encode()
    pieces = reply.body.split(b"--" + boundary)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    for piece in pieces[1:-1]:
        fields, _, content = piece.partition(b"\r\n\r\n")
        assert content.endswith(b"\r\n")
        line = next(line for line in fields.split(b"\r\n") if line.startswith(b"Content-Range: "))
        found.append((line[len(b"Content-Range: ") :].decode(), content[:-2]))
    assert len(found) == len(message.get_payload())
    return found


def test_t16_multipart_holds_each_part_in_the_order_asked_for(server: RunningChute, name: str):
    content = FILES[name]
    reply = server.get(f"/{name}", "Range: bytes=500-509,0-4, -3")
    assert reply.status == 206
    assert reply["content-type"].startswith("multipart/byteranges; boundary=")
    size = len(content)
    assert parts_of(reply) == [
        (f"bytes 500-509/{size}", content[500:510]),
        (f"bytes 0-4/{size}", content[:5]),
        (f"bytes {size - 3}-{size - 1}/{size}", content[-3:]),
    ]


def test_t16_amplifying_ranges_get_the_whole_file(server: RunningChute, name: str):
    many = ",".join(f"{i}-{i}" for i in range(17))
    overlapping = "0-,0-,0-"
    for value in (many, overlapping):
        reply = server.get(f"/{name}", f"Range: bytes={value}")
        assert (reply.status, reply.body) == (200, FILES[name]), value


def test_t16_huge_range_field_costs_next_to_nothing(server: RunningChute, name: str):
    within = "bytes=" + ",".join("0-0" for _ in range(7000))
    before = server.cpu_s()
    for _ in range(20):
        assert server.get(f"/{name}", f"Range: {within}").status == 200
        assert server.get(f"/{name}", f"Range: {within * 4}").status == 431
    assert server.cpu_s() - before < 1.0


def test_t12_bodiless_answers_are_followed_by_a_status_line(server: RunningChute, name: str):
    whole = server.get(f"/{name}")
    with server.connect() as wire:
        tag = whole["etag"]
        wire.send(
            f"HEAD /{name} HTTP/1.1\r\nHost: a\r\n\r\n"
            f"GET /{name} HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n"
            f"OPTIONS /{name} HTTP/1.1\r\nHost: a\r\n\r\n"
            f"HEAD /missing HTTP/1.1\r\nHost: a\r\n\r\n"
            f"GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        )
        head = wire.read_reply("HEAD")
        assert (head.status, head["content-length"]) == (200, str(len(FILES[name])))
        assert [field for field in head.fields if field[0] != "date"] == [
            field for field in whole.fields if field[0] != "date"
        ]
        assert wire.read_reply().status == 304
        assert wire.read_reply().status == 204
        assert wire.read_reply("HEAD").status == 404
        assert wire.read_reply().body == FILES[name]


def test_range_on_head_is_ignored(server: RunningChute, name: str):
    """RFC 9110, 14.2 defines Range for GET alone."""
    reply = server.get(f"/{name}", "Range: bytes=0-4", method="HEAD")
    assert (reply.status, reply["content-length"]) == (200, str(len(FILES[name])))


def test_preconditions_follow_their_order(server: RunningChute, name: str):
    whole = server.get(f"/{name}")
    tag, modified = whole["etag"], whole["last-modified"]
    past = "Mon, 01 Jan 2001 00:00:00 GMT"
    table = [
        ([f"If-None-Match: {tag}"], 304),
        ([f"If-None-Match: W/{tag}"], 304),
        ([f'If-None-Match: "x", {tag}'], 304),
        (["If-None-Match: *"], 304),
        (['If-None-Match: "x"'], 200),
        ([f"If-Modified-Since: {modified}"], 304),
        ([f"If-Modified-Since: {past}"], 200),
        (['If-None-Match: "x"', f"If-Modified-Since: {modified}"], 200),
        ([f"If-None-Match: {tag}", f"If-Modified-Since: {past}"], 304),
        ([f"If-Match: {tag}"], 200),
        (["If-Match: *"], 200),
        ([f"If-Match: W/{tag}"], 412),
        (['If-Match: "x"'], 412),
        ([f"If-Unmodified-Since: {modified}"], 200),
        ([f"If-Unmodified-Since: {past}"], 412),
        ([f"If-Match: {tag}", f"If-Unmodified-Since: {past}"], 200),
        (['If-Match: "x"', f"If-None-Match: {tag}"], 412),
        ([f"If-Match: {tag}", f"If-None-Match: {tag}"], 304),
    ]
    for lines, status in table:
        assert server.get(f"/{name}", *lines).status == status, lines


def test_t18_if_range_needs_a_strong_match(server: RunningChute, name: str):
    whole = server.get(f"/{name}")
    tag, modified = whole["etag"], whole["last-modified"]
    table = [
        (tag, 206),
        (modified, 206),
        ("W/" + tag, 200),
        ('"stale"', 200),
        (tag[:-1] + 'x"', 200),
        (f"{tag}, {tag}", 200),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 200),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 200),
        ("garbage", 200),
        ("", 200),
    ]
    for value, status in table:
        reply = server.get(f"/{name}", "Range: bytes=0-4", f"If-Range: {value}")
        assert reply.status == status, value
        assert reply.body == (FILES[name][:5] if status == 206 else FILES[name]), value


def test_t18_date_of_a_file_just_written_is_not_strong_enough(server: RunningChute):
    (server.folder / "new.bin").write_bytes(LARGE)
    modified = server.get("/new.bin")["last-modified"]
    assert server.get("/new.bin", "Range: bytes=0-4", f"If-Range: {modified}").status == 200


def test_t19_rewrite_of_same_size_within_a_second_is_no_304(server: RunningChute):
    for content in (SMALL, LARGE):
        path = server.folder / f"twice{len(content)}.bin"
        path.write_bytes(content)
        tag = server.get(f"/{path.name}")["etag"]
        path.write_bytes(content[::-1])
        time.sleep(1.2)
        reply = server.get(f"/{path.name}", f"If-None-Match: {tag}")
        assert (reply.status, reply.body) == (200, content[::-1])


@pytest.mark.parametrize(
    "modified_s", [0, -1, -86400 * 365 * 10, 2**31, 2**33, 253_402_300_799], ids=str
)
def test_t19_odd_modification_times_are_served(server: RunningChute, modified_s: int):
    path = server.folder / f"odd{modified_s}.bin"
    path.write_bytes(SMALL)
    try:
        os.utime(path, (modified_s, modified_s))
    except OSError as error:
        pytest.skip(f"the file system refuses this time: {error}")
    reply = server.get(f"/{path.name}")
    assert (reply.status, reply.body) == (200, SMALL)
    assert server.get(f"/{path.name}", f"If-None-Match: {reply['etag']}").status == 304
    assert server.get(f"/{path.name}", 'If-None-Match: "0"').status == 200


@pytest.mark.parametrize("field", ["If-None-Match", "If-Modified-Since", "If-Match", "If-Range"])
@pytest.mark.parametrize(
    "value",
    ["", "${jndi:ldap://x}", "Thu, 01 Jan 1970 00:00:00.123 GMT", "W/", '"', "\xff\xfe", "0"],
    ids=["empty", "jndi", "fractional seconds", "half a tag", "quote", "not ascii", "zero"],
)
def test_t20_garbage_conditions_are_ignored(
    server: RunningChute, name: str, field: str, value: str
):
    assert server.get(f"/{name}", f"{field}: {value}").status == 200
