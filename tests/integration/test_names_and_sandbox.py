"""Names from strangers: what they may reach, and what they never may (T21 to T28)."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from running import RunningChute, Serve
from shared import shared_server

SECRET = b"outside the root"
NAMES = [
    b"plain.txt",
    b"with space",
    b"question?mark",
    b"hash#mark",
    b"percent%41",
    b"new\nline",
    b"back\\slash",
    b"quote\"'<>&",
    "é".encode(),
    b"e\xcc\x81",
    b"\xff\xfe not utf-8",
    "日本語 🚀".encode(),
    b"x" * 255,
    b"..dots",
    b"...",
    b"-dash",
    b"semi;colon",
]


def fill(folder: Path) -> None:
    root = os.fsencode(folder)
    outside = folder.parent
    (outside / "secret").write_bytes(SECRET)
    (outside / "site-secret").mkdir()
    (outside / "site-secret" / "secret").write_bytes(SECRET)
    for name in NAMES:
        with open(os.path.join(root, name), "wb") as file:
            file.write(b"<" + name + b">")
    (folder / "sub").mkdir()
    (folder / "sub" / "index.html").write_bytes(b"index")
    (folder / "inside").symlink_to("sub")
    (folder / "inside.html").symlink_to("sub/index.html")
    (folder / "escape").symlink_to("../secret")
    (folder / "escape_dir").symlink_to("..")
    (folder / "absolute").symlink_to(outside / "secret")
    (folder / "absolute_inside").symlink_to(folder / "plain.txt")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nothing")
    (folder / "indexed").mkdir()
    (folder / "indexed" / "index.html").symlink_to("../../secret")
    (folder / "escape_dots").symlink_to("sub/../../secret")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(folder / "socket"))


server = shared_server(fill, "--hidden", "--no-listing")


@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/sub/../../secret",
        "/%2e%2e/secret",
        "/%2e%2e%2fsecret",
        "/..%2fsecret",
        "/%252e%252e/secret",
        "/..\\secret",
        "/..%5csecret",
        "//etc/passwd",
        "/../site-secret/secret",
        "/sub/..%2f..%2fsite-secret/secret",
        "http://x/../secret",
        "/escape",
        "/escape/",
        "/escape_dir/secret",
        "/escape_dir/",
        "/escape_dots",
        "/absolute",
        "/absolute_inside",
        "/indexed/",
        "/indexed/index.html",
        "/proc/self/root/etc/passwd",
    ],
)
def test_t21_nothing_outside_the_root_is_served(server: RunningChute, target: str):
    reply = server.get(target)
    assert reply.status in (400, 403, 404)
    assert SECRET not in reply.body


def test_t21_links_that_stay_inside_are_followed(server: RunningChute):
    assert server.get("/inside.html").body == b"index"
    assert server.get("/inside/").body == b"index"
    assert server.get("/inside")["location"] == "/inside/"


@pytest.mark.parametrize(
    ("target", "statuses"),
    [
        ("/%00", (400, 404)),
        ("/plain.txt%00.html", (400, 404)),
        ("/" + "y" * 300, (404,)),
        ("/" + "d/" * 3000, (404,)),
        ("/loop", (404,)),
        ("/loop/", (404,)),
        ("/dangling", (404,)),
        ("/plain.txt/", (404,)),
        ("/plain.txt/more", (404,)),
        ("/%ff", (404,)),
        ("/%", (400,)),
        ("/%zz", (400,)),
        ("/%c0%ae%c0%ae/secret", (404,)),
    ],
)
def test_t22_odd_paths_are_refused_quietly(
    server: RunningChute, target: str, statuses: tuple[int, ...]
):
    assert server.get(target).status in statuses


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_t23_names_of_any_bytes_are_served(server: RunningChute, name: bytes):
    reply = server.get("/" + quote(name))
    assert reply.status == 200
    assert reply.body == b"<" + name + b">"


def test_t23_normal_forms_are_different_names(server: RunningChute):
    assert server.get("/%C3%A9").body != server.get("/e%CC%81").body


def test_t24_folder_redirect_never_leads_to_another_host(serve: Serve, folder: Path):
    (folder / "evil.com").mkdir()
    (folder / "\\evil.com").mkdir()
    chute = serve()
    for target in ("//evil.com", "/./evil.com", "///evil.com", "/x/..//evil.com", "/%2Fevil.com"):
        reply = chute.get(target)
        assert reply.status == 301, target
        assert reply["location"] == "/evil.com/", target
    assert chute.get("/%5Cevil.com")["location"] == "/%5Cevil.com/"


@pytest.mark.parametrize("name", ["fifo", "socket"])
def test_t26_special_files_are_missing_and_hold_nobody_up(server: RunningChute, name: str):
    started = time.monotonic()
    assert server.get(f"/{name}").status == 404
    assert server.get("/plain.txt").status == 200
    assert time.monotonic() - started < 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_t26_device_is_missing(server: RunningChute):
    try:
        os.mknod(server.folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this container makes no devices")
    assert server.get("/null").status == 404


@pytest.mark.parametrize("path", ["/proc/sys/kernel", "/sys/kernel"])
def test_t27_size_that_lies_is_not_believed(serve: Serve, folder: Path, path: str):
    folder.rmdir()
    folder.symlink_to(path)
    chute = serve()
    names = [
        name
        for name in sorted(os.listdir(path))
        if os.path.isfile(f"{path}/{name}") and os.access(f"{path}/{name}", os.R_OK)
    ]
    checked = 0
    for name in names:
        try:
            content = Path(path, name).read_bytes()
        except OSError:
            continue
        with chute.connect() as wire:
            reply = wire.get(f"/{name}")
            if reply.body != content:  # some of them count
                continue
            assert reply.status == 200
            told_truth = os.stat(f"{path}/{name}").st_size == len(content)
            assert ("etag" in reply) == told_truth
            head = wire.get(f"/{name}", method="HEAD")
            assert head["content-length"] == reply["content-length"]
            checked += len(content) > 0
    assert checked >= 3


def test_t27_sparse_file_is_still_carried_by_sendfile(serve: Serve, folder: Path):
    with (folder / "sparse.bin").open("wb") as file:
        file.truncate(1 << 20)
    assert (folder / "sparse.bin").stat().st_blocks == 0
    chute = serve()
    assert chute.get("/sparse.bin").body == bytes(1 << 20)
    assert chute.log_lines(1)[0].endswith("sendfile complete")


def test_empty_file_has_its_validators(serve: Serve, folder: Path):
    (folder / "empty.txt").write_bytes(b"")
    reply = serve().get("/empty.txt")
    assert (reply.status, reply.body) == (200, b"")
    assert "etag" in reply
    assert "last-modified" in reply


def test_t28_vanished_file_is_missing(serve: Serve, folder: Path):
    path = folder / "large.bin"
    path.write_bytes(b"x" * 100_000)
    chute = serve("--valid", "0")
    assert chute.get("/large.bin").status == 200
    path.unlink()
    assert chute.get("/large.bin").status == 404
