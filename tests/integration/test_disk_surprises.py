"""What a disk does to a server that remembers: names exchanged under its hands, odd kinds of files, permissions."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from running import Reply, RunningChute, Serve, start_chute, wait_until
from shared import shared_server
from unprivileged import start_unprivileged

SECRET = b"outside the root"
LARGE = b"l" * 30_000
CHANGING_S = 0.7


def fill(folder: Path) -> None:
    for name in ("sub", "bare", "with fifo", "with link"):
        (folder / name).mkdir()
    (folder / "sub" / "index.html").write_bytes(b"index")
    (folder / "small.txt").write_bytes(b"small")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "large.bin").write_bytes(LARGE)
    os.mkfifo(folder / "fifo")
    os.mkfifo(folder / "with fifo" / "index.html")
    os.mknod(folder / "socket", stat.S_IFSOCK | 0o600)
    (folder.parent / "secret").write_bytes(SECRET)
    (folder / "with link" / "index.html").symlink_to("../../secret")
    (folder / "out").symlink_to("../secret")


server = shared_server(fill, "--no-listing")


def without_date(reply: Reply) -> tuple[int, list[tuple[str, str]]]:
    return reply.status, [line for line in reply.fields if line[0] != "date"]


@contextlib.contextmanager
def repeating(step: Callable[[int], None]) -> Iterator[list[int]]:
    """Do `step` again and again in a thread; gives the list of all that were done."""
    done: list[int] = []
    ended = threading.Event()

    def repeat() -> None:
        for number in itertools.count():
            if ended.is_set():
                break
            step(number)
            done.append(number)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield done
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("line", ["X: 1", "If-None-Match: *", 'If-Match: "x"', "Accept: text/html"])
def test_t27_head_has_the_fields_of_get(server: RunningChute, line: str):
    """Cold and warm: the second and third answers come from plans."""
    targets = ["/", "/sub/", "/sub", "/bare/", "/bare", "/small.txt", "/empty.txt", "/large.bin"]
    targets += ["/fifo", "/socket", "/none", "/small.txt/", "/out", "/%00", "/with%20link/"]
    for target in targets * 3:
        get = server.get(target, line)
        assert without_date(server.get(target, line, method="HEAD")) == without_date(get), target


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/out", 404),
        ("/out/", 404),
        ("/with%20link/index.html", 404),
        ("/with%20link/", 403),
        ("/%2e%2e/secret", 400),
        ("/%252e%252e/secret", 404),
        ("/..%5csecret", 404),
        ("//secret", 404),
        ("http://test/../secret", 400),
        ("http://test//out", 404),
    ],
)
def test_t21_way_out_is_closed_for_every_question(server: RunningChute, target: str, status: int):
    for line in ("X: 1", "Range: bytes=0-3", "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT"):
        for _ in range(3):
            reply = server.get(target, line)
            assert reply.status == status, line
            assert SECRET not in reply.body
            assert "last-modified" not in reply


@pytest.mark.parametrize("poller", ["auto"])
def test_t21_component_exchanged_for_a_link_never_lets_out(serve: Serve, folder: Path):
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "swap").mkdir()
    for name in ("page", "index.html"):
        (outside / name).write_bytes(SECRET)
        (folder / "swap" / name).write_bytes(b"inside")
    (folder / "link").symlink_to("../outside")
    chute = serve("--valid", "0")

    def exchange(_number: int) -> None:
        (folder / "swap").rename(folder / "away")
        (folder / "link").rename(folder / "swap")
        (folder / "swap").rename(folder / "link")
        (folder / "away").rename(folder / "swap")

    seen: set[int] = set()
    before = chute.descriptors()
    with repeating(exchange) as done, chute.connect() as wire:
        give_up = time.monotonic() + CHANGING_S
        while time.monotonic() < give_up:
            for target in ("/swap/page", "/swap/", "/swap/../swap/page"):
                reply = wire.get(target)
                assert SECRET not in reply.body
                assert reply.status in (200, 404, 403)
                seen.add(reply.status)
    assert len(done) > 20
    assert {200, 404} <= seen, "the exchange was never met half way"
    wait_until(lambda: chute.descriptors() <= before, what="as many descriptors as before")


@pytest.mark.parametrize("poller", ["auto"])
@pytest.mark.parametrize("size", [3_000, 30_000], ids=["in memory", "by sendfile"])
def test_t28_file_replaced_all_the_time_is_always_one_of_its_versions(
    serve: Serve, folder: Path, size: int
):
    path = folder / "a.bin"
    path.write_bytes(b"0" * size)

    def replace(number: int) -> None:
        if number % 5 == 4:
            path.unlink()
        letter = b"%d" % (number % 10)
        (folder / "new").write_bytes(letter * (size + number % 7))
        (folder / "new").rename(path)

    chute = serve("--valid", "0")
    bodies: set[bytes] = set()
    with repeating(replace) as done, chute.connect() as wire:
        give_up = time.monotonic() + CHANGING_S
        while time.monotonic() < give_up:
            reply = wire.get("/a.bin")
            assert reply.status in (200, 404)
            if reply.status == 200:
                assert reply.body == reply.body[:1] * len(reply.body)
                assert int(reply["etag"].strip('"').rpartition("-")[2], 16) == len(reply.body)
                bodies.add(reply.body)
    assert len(done) > 20
    assert len(bodies) > 5


def test_file_becomes_a_folder_and_a_fifo_and_a_file_again(serve: Serve, folder: Path):
    """Each time behind the back of a plan that has answered before."""
    path = folder / "thing"
    chute = serve("--valid", "0")

    def statuses() -> list[int]:
        with chute.connect() as wire:
            return [wire.get("/thing").status for _ in range(3)]

    path.write_bytes(LARGE)
    os.utime(path, (1, 1))
    assert statuses() == [200] * 3
    path.unlink()
    path.mkdir()
    assert statuses() == [301] * 3
    path.rmdir()
    os.mkfifo(path)
    assert statuses() == [404] * 3
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert statuses() == [404] * 3
    path.unlink()
    path.write_bytes(b"back")
    assert statuses() == [200] * 3
    assert chute.get("/thing").body == b"back"


@pytest.mark.parametrize("poller", ["auto"])
def test_deleted_file_gives_its_disk_space_back(serve: Serve, folder: Path):
    """A plan that is asked for again must not keep the descriptor of a file that is gone."""
    path = folder / "a.bin"
    path.write_bytes(LARGE)
    chute = serve("--valid", "0")
    with chute.connect() as wire:
        for _ in range(4):
            assert wire.get("/a.bin").body == LARGE
        path.unlink()
        assert wire.get("/a.bin").status == 404
        for number in os.listdir(f"/proc/{chute.pid}/fd"):
            assert "a.bin" not in os.readlink(f"/proc/{chute.pid}/fd/{number}")


def test_t26_special_files_hold_nobody_up(server: RunningChute):
    targets = {"/fifo": 404, "/socket": 404, "/with%20fifo/index.html": 404, "/with%20fifo/": 403}
    with contextlib.suppress(PermissionError):  # not every root makes devices
        os.mknod(server.folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(server.folder / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    for name in ("null", "zero"):
        if (server.folder / name).exists():
            targets[f"/{name}"] = 404
    try:
        with server.connect() as other:
            for target, status in targets.items():
                with server.connect(timeout_s=5) as wire:
                    wire.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode() * 2)
                    assert other.get("/large.bin").body == LARGE
                    assert [wire.read_reply().status for _ in range(2)] == [status] * 2, target
    finally:
        for name in ("null", "zero"):
            (server.folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize("poller", ["auto", "portable"])
@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="there is no /proc here")
def test_t27_file_that_claims_to_be_empty_is_served_whole(tmp_path: Path, poller: str):
    """One file shared; no validator is invented for it, and no date in a request is believed."""
    chute = start_chute(Path("/proc/version"), tmp_path, "--poller", poller)
    content = Path("/proc/version").read_bytes()
    assert os.stat("/proc/version").st_size == 0
    try:
        with chute.connect() as wire:
            for line in ("X: 1", "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT", "X: 1"):
                reply = wire.get("/version", line)
                assert (reply.status, reply.body) == (200, content)
                assert "etag" not in reply
                assert "last-modified" not in reply
                assert without_date(wire.get("/version", method="HEAD")) == without_date(reply)
            part = wire.get("/version", "Range: bytes=-5")
            assert (part.status, part.body) == (206, content[-5:])
    finally:
        assert chute.stop() == 0


@pytest.mark.parametrize("poller", ["auto"])
def test_t27_sparse_gigabyte_is_trusted_and_carried_by_the_kernel(serve: Serve, folder: Path):
    size, count = 1 << 30, 1 << 24
    with (folder / "giant").open("wb") as file:
        file.truncate(size)
    if (folder / "giant").stat().st_blocks:
        pytest.skip("this file system allocates holes")
    chute = serve()
    assert chute.get("/giant", method="HEAD")["content-length"] == str(size)
    before = chute.resident_bytes()
    reply = chute.get("/giant", f"Range: bytes=-{count}")
    assert (reply.status, len(reply.body)) == (206, count)
    assert reply["content-range"] == f"bytes {size - count}-{size - 1}/{size}"
    assert not any(reply.body)
    assert chute.resident_bytes() - before < count
    assert chute.log_lines(2)[1].endswith(" sendfile complete")


def test_t28_what_the_system_forbids_is_403(folder: Path, tmp_path: Path):
    for name in ("open", "closed", "unlisted", "hidden"):
        (folder / name).mkdir()
        (folder / name / "page").write_bytes(b"page")
        (folder / name / "index.html").write_bytes(b"index")
    (folder / "large.bin").write_bytes(LARGE)
    os.utime(folder / "large.bin", (1, 1))
    (folder / "hidden" / "index.html").chmod(0)
    (folder / "link").symlink_to("hidden/index.html")
    (folder / "unlisted").chmod(0o311)
    chute = start_unprivileged(folder, tmp_path, "--valid", "0")
    try:
        (folder / "closed").chmod(0)
        expected = {
            "/open/page": 200,
            "/hidden/index.html": 403,
            "/hidden/": 403,
            "/link": 403,
            "/closed/page": 403,
            "/closed/none": 403,
            "/closed/": 403,
            "/unlisted/page": 200,
            "/unlisted/": 200,
            "/unlisted/none": 404,
        }
        with chute.connect() as wire:
            assert {target: wire.get(target).status for target in expected} == expected
            reply = wire.get("/hidden/index.html")
            assert without_date(wire.get("/hidden/index.html", method="HEAD")) == without_date(
                reply
            )
            for mode, status in ((0o644, 200), (0, 403), (0o644, 200)):
                (folder / "large.bin").chmod(mode)
                assert [wire.get("/large.bin").status for _ in range(3)] == [status] * 3
    finally:
        for name in ("closed", "unlisted"):
            (folder / name).chmod(0o755)
        assert chute.stop() == 0, chute.errors()
    assert "Traceback" not in chute.errors()


@pytest.mark.parametrize("poller", ["auto"])
def test_t24_redirect_of_a_hostile_folder_stays_on_this_host(serve: Serve, folder: Path):
    names = {
        b"\\evil.com": "/%5Cevil.com/",
        b"a\r\nSet-Cookie: x": "/a%0D%0ASet-Cookie:%20x/",
        b"\t": "/%09/",
        b"evil.com": "/evil.com/",
        b"http:": "/http:/",
        b"\xff": "/%FF/",
        b"?#%": "/%3F%23%25/",
    }
    chute = serve("--hidden", "--no-listing")
    for name, location in names.items():
        os.mkdir(os.fsencode(folder) + b"/" + name)
        asked = location.rstrip("/")
        for target in (asked, f"/{asked}", f"///{asked}", f"/.{asked}", f"http://evil.com{asked}"):
            reply = chute.get(target)
            assert (reply.status, reply["location"]) == (301, location), target
        assert chute.get(f"{asked}?//evil.com")["location"] == f"{location}?//evil.com"
        assert chute.get(location).status == 403


@pytest.mark.parametrize("name", [b"\xff odd", b"new\nline", "日本".encode()], ids=repr)
def test_t23_shared_file_of_any_name_is_found_from_the_root(tmp_path: Path, name: bytes):
    path = os.path.join(os.fsencode(tmp_path), name)
    Path(os.fsdecode(path)).write_bytes(b"shared")
    chute = start_chute(Path(os.fsdecode(path)), tmp_path)
    try:
        location = chute.get("/")["location"]
        assert chute.get(location).body == b"shared"
    finally:
        assert chute.stop() == 0


@pytest.mark.parametrize("target", ["../outside/real.bin", "beside.bin"], ids=["out", "beside"])
def test_link_that_the_user_names_is_trusted(tmp_path: Path, target: str):
    """Links found beneath a root may not leave it; the one that was typed may lead anywhere."""
    for name in ("named", "outside", "logs"):
        (tmp_path / name).mkdir()
    (tmp_path / "named" / target).write_bytes(b"shared")
    (tmp_path / "named" / "latest.bin").symlink_to(target)
    chute = start_chute(tmp_path / "named" / "latest.bin", tmp_path / "logs")
    try:
        assert chute.get(chute.get("/")["location"]).body == b"shared"
    finally:
        assert chute.stop() == 0
