"""Uploads on the wire: what becomes of what a client sends, and of what it does not send to the end."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from running import Reply, RunningChute, Serve, wait_until

CONTENT = os.urandom(3_000_000)


def put(server: RunningChute, target: str, content: bytes, *lines: str) -> int:
    with server.connect() as wire:
        head = [f"PUT {target} HTTP/1.1", "Host: test", f"Content-Length: {len(content)}", *lines]
        wire.send("\r\n".join([*head, "", ""]).encode())
        wire.send(content)
        return wire.read_reply("PUT").status


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_file_arrives_whole_and_can_be_fetched(serve: Serve, folder: Path):
    server = serve("--upload")
    before = server.descriptors()
    assert put(server, "/new.bin", CONTENT) == 201
    assert (folder / "new.bin").read_bytes() == CONTENT
    assert server.get("/new.bin").body == CONTENT
    assert names(folder) == ["new.bin"]
    (folder / "new.bin").unlink()
    wait_until(lambda: server.descriptors() <= before + 1, what="the end of what was open")


def test_uploads_are_off_unless_they_are_wanted(serve: Serve, folder: Path):
    server = serve()
    assert put(server, "/new.bin", b"content") == 405
    assert server.get("/", method="OPTIONS")["allow"] == "GET, HEAD, OPTIONS"
    assert names(folder) == []


def test_options_tells_what_is_allowed(serve: Serve):
    server = serve("--upload")
    assert "PUT" in server.get("/file", method="OPTIONS")["allow"]
    assert "POST" in server.get("/", method="OPTIONS")["allow"]


def test_file_is_replaced_only_if_the_request_says_so(serve: Serve, folder: Path):
    (folder / "a").write_bytes(b"first")
    server = serve("--upload")
    assert put(server, "/a", b"second") == 409
    assert put(server, "/a", b"second", "If-None-Match: *") == 412
    assert (folder / "a").read_bytes() == b"first"
    tag = server.get("/a")["etag"]
    assert put(server, "/a", b"second", f"If-Match: {tag}") == 204
    assert put(server, "/a", b"third", f"If-Match: {tag}") == 412
    assert (folder / "a").read_bytes() == b"second"
    assert put(serve("--upload", "--overwrite"), "/a", b"fourth") == 204
    assert (folder / "a").read_bytes() == b"fourth"


def test_uploads_are_seen_at_once_by_every_worker(serve: Serve, folder: Path):
    server = serve("--upload", "--overwrite", "--workers", "2")
    for number in range(12):
        content = b"%d" % number
        put(server, "/a", content)
        put(server, f"/{number}", content)
        for _ in range(4):
            assert server.get("/a").body == content
            assert f'"name":"{number}"' in server.get("/?format=json").body.decode().replace(
                " ", ""
            )


def test_client_that_breaks_off_leaves_nothing_behind(serve: Serve, folder: Path):
    server = serve("--upload")
    server.get("/")
    before = server.descriptors()
    for count in (0, 10, 2_000_000):
        with server.connect() as wire:
            wire.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
            wire.send(CONTENT[:count])
    wait_until(lambda: server.descriptors() <= before, what="the end of what was open")
    assert names(folder) == []
    lines = [line for line in server.log_lines(4) if "PUT" in line]
    assert len(lines) == 3
    assert all('" 499 0 ' in line and line.endswith("aborted") for line in lines), lines


def test_server_that_stops_leaves_nothing_behind(serve: Serve, folder: Path):
    server = serve("--upload")
    with server.connect() as wire:
        wire.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
        wire.send(CONTENT[:2_000_000])
        server.get("/")
        assert server.stop() == 0
    assert names(folder) == []


@pytest.mark.parametrize("is_chunked", [False, True], ids=["announced", "chunked"])
def test_upload_beyond_the_limit_is_a_413(serve: Serve, folder: Path, is_chunked: bool):
    server = serve("--upload", "--upload-max", "1M")
    with server.connect() as wire:
        if is_chunked:
            wire.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(11):
                wire.send(b"186a0\r\n" + CONTENT[:100_000] + b"\r\n")
        else:
            wire.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n")
        assert wire.read_reply("PUT").status == 413
    wait_until(lambda: names(folder) == [], what="the clean-up")


def test_upload_beyond_the_quota_is_a_507(serve: Serve, folder: Path):
    (folder / "there").write_bytes(CONTENT[:600_000])
    server = serve("--upload", "--upload-quota", "1M")
    assert put(server, "/a", CONTENT[:600_000]) == 507
    assert put(server, "/b", CONTENT[:400_000]) == 201
    assert names(folder) == ["b", "there"]


def test_uploads_of_one_name_are_each_whole(serve: Serve, folder: Path):
    server = serve("--upload", "--overwrite")
    contents = [bytes([number]) * 700_000 for number in range(6)]
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda content=content: statuses.append(put(server, "/a", content)))
        for content in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201, 204, 204, 204, 204, 204]
    assert (folder / "a").read_bytes() in contents
    assert names(folder) == ["a"]


def test_others_are_served_while_somebody_uploads_slowly(serve: Serve, folder: Path):
    (folder / "there").write_bytes(b"there")
    server = serve("--upload")
    with server.connect() as slow:
        slow.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
        for _ in range(5):
            assert server.get("/there").body == b"there"
        slow.send(b"bc")
        assert slow.read_reply("PUT").status == 201
        assert slow.get("/there").body == b"there", "the connection goes on"


def test_curl_uploads_and_is_told_to_continue(serve: Serve, folder: Path, tmp_path: Path):
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    server = serve("--upload")
    result = subprocess.run(
        ["curl", "-sv", "-H", "Expect: 100-continue", "-T", source, f"{server.url}/new"],
        capture_output=True,
        timeout=30,
    )
    assert b"HTTP/1.1 100 Continue" in result.stderr
    assert b"HTTP/1.1 201 Created" in result.stderr
    assert (folder / "new").read_bytes() == CONTENT


def test_form_puts_every_file_into_the_folder(serve: Serve, folder: Path, tmp_path: Path):
    (folder / "in").mkdir()
    fields = []
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(CONTENT + name.encode())
        fields += ["-F", f"f=@{tmp_path}/{name}"]
    server = serve("--upload")
    told = ["-w", "%{http_code} %{redirect_url}", "-H", "Accept: text/html"]
    result = subprocess.run(
        ["curl", "-s", *told, *fields, f"{server.url}/in/"], capture_output=True, timeout=30
    )
    assert result.stdout.decode() == f"303 {server.url}/in/"
    assert names(folder / "in") == ["one", "two"]
    assert (folder / "in" / "two").read_bytes() == CONTENT + b"two"


def test_page_of_another_site_may_not_upload(serve: Serve, folder: Path):
    server = serve("--upload")
    assert put(server, "/a", b"content", "Origin: https://evil.example") == 403
    assert put(server, "/a", b"content", "Sec-Fetch-Site: cross-site") == 403
    assert put(server, "/a", b"content", "Sec-Fetch-Site: same-origin") == 201
    assert names(folder) == ["a"]


@pytest.mark.parametrize("target", ["/.env", "/.git/config", "/%2e%2e/a", "/a/../../b", "/link/a"])
def test_t21_upload_stays_beneath_the_root(serve: Serve, folder: Path, tmp_path: Path, target: str):
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / ".git").mkdir()
    server = serve("--upload")
    status = put(server, target, b"content")
    assert status in (400, 403, 409)
    assert names(outside) == []
    assert names(folder / ".git") == []
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


def test_upload_beneath_a_prefix(serve: Serve, folder: Path):
    server = serve("--upload", "--prefix", "/files")
    assert put(server, "/files/a", b"content") == 201
    assert put(server, "/a", b"content") in (404, 405)
    assert names(folder) == ["a"]
    assert server.get("/files/a").body == b"content"


def test_upload_where_others_can_reach_it_needs_a_password(folder: Path):
    command = [sys.executable, "-m", "chute", "serve", str(folder), "--upload", "--bind", ":0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert result.returncode == 2
    assert "--auth" in result.stderr


def test_workers_share_the_quota(serve: Serve, folder: Path):
    server = serve("--upload", "--upload-quota", "1M", "--workers", "2")
    statuses = [put(server, f"/{number}", CONTENT[:200_000]) for number in range(8)]
    assert sorted(statuses) == [201] * 5 + [507] * 3
    assert sum((folder / name).stat().st_size for name in names(folder)) == 1_000_000


# ---------------------------------------------------------------- in parts


def tus(server: RunningChute, method: str, target: str, *lines: str, content: bytes = b"") -> Reply:
    with server.connect() as wire:
        head = [f"{method} {target} HTTP/1.1", "Host: test", "Tus-Resumable: 1.0.0", *lines]
        if method in ("POST", "PATCH"):
            head.append(f"Content-Length: {len(content)}")
        wire.send("\r\n".join([*head, "", ""]).encode() + content)
        return wire.read_reply(method)


def begin(server: RunningChute, length: int, name: str = "new.bin") -> str:
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    reply = tus(server, "POST", "/", f"Upload-Length: {length}", f"Upload-Metadata: {metadata}")
    assert reply.status == 201
    return f"/{reply['location']}"


OFFSET_TYPE = "Content-Type: application/offset+octet-stream"


def test_upload_that_was_broken_off_goes_on(serve: Serve, folder: Path):
    server = serve("--upload")
    upload = begin(server, len(CONTENT))
    with server.connect() as wire:
        head = f"PATCH {upload} HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n{OFFSET_TYPE}\r\n"
        wire.send(f"{head}Upload-Offset: 0\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode())
        wire.send(CONTENT[:1_500_000])
    offset = 0

    def has_been_kept() -> bool:
        nonlocal offset
        offset = int(tus(server, "HEAD", upload)["upload-offset"])
        return offset == 1_500_000

    wait_until(has_been_kept, what="what had arrived")
    assert server.get("/new.bin").status == 404
    assert b".chute" not in server.get("/?format=json").body
    reply = tus(
        server,
        "PATCH",
        upload,
        OFFSET_TYPE,
        f"Upload-Offset: {offset}",
        content=CONTENT[offset:],
    )
    assert (reply.status, reply["upload-offset"]) == (204, str(len(CONTENT)))
    assert server.get("/new.bin").body == CONTENT
    assert names(folder) == ["new.bin"]


def test_upload_in_parts_survives_a_restart(serve: Serve, folder: Path):
    server = serve("--upload")
    upload = begin(server, 10)
    first = tus(server, "PATCH", upload, OFFSET_TYPE, "Upload-Offset: 0", content=b"01234")
    assert first["upload-offset"] == "5"
    assert server.stop() == 0
    again = serve("--upload", "--workers", "2")
    last = tus(again, "PATCH", upload, OFFSET_TYPE, "Upload-Offset: 5", content=b"56789")
    assert last.status == 204
    assert (folder / "new.bin").read_bytes() == b"0123456789"


def test_upload_in_parts_is_told_of_and_can_be_removed(serve: Serve, folder: Path):
    server = serve("--upload", "--upload-max", "1M")
    told = server.get("/", method="OPTIONS")
    assert told["tus-version"] == "1.0.0"
    assert told["tus-max-size"] == str(1 << 20)
    upload = begin(server, 10)
    assert tus(server, "DELETE", upload).status == 204
    assert tus(server, "HEAD", upload).status == 404
    assert names(folder) == []


def test_uploads_in_parts_are_off_unless_they_are_wanted(serve: Serve, folder: Path):
    server = serve()
    assert tus(server, "POST", "/", "Upload-Length: 5").status == 405
    assert "tus-version" not in server.get("/", method="OPTIONS")


def test_page_of_a_named_origin_may_upload(serve: Serve, folder: Path):
    server = serve("--upload", "--cors", "https://friend.example")
    friend = ("Origin: https://friend.example", "Sec-Fetch-Site: cross-site")
    assert put(server, "/a", b"content", *friend) == 201
    assert put(server, "/b", b"content", "Origin: https://stranger.example") == 403
    assert put(serve("--upload", "--cors", "*"), "/c", b"content", *friend) == 403


@pytest.mark.parametrize("suffix", ["gz", "br", "zst"])
def test_upload_beside_a_file_does_not_stand_in_for_it(serve: Serve, folder: Path, suffix: str):
    (folder / "index.html").write_bytes(b"<p>the real page, which is longer than its sidecar</p>")
    server = serve("--upload", "--no-compress")
    assert put(server, f"/index.html.{suffix}", b"evil") == 201
    assert put(server, "/index.html.sha256", b"0" * 64) == 201
    reply = server.get("/", "Accept-Encoding: gzip, br, zstd", "Want-Repr-Digest: sha-256=1")
    assert b"the real page" in reply.body
    assert "content-encoding" not in reply
    assert "AAAA" not in reply["repr-digest"]


def test_head_of_an_upload_is_not_answered_for_others(serve: Serve, folder: Path):
    (folder / "index.html").write_bytes(b"page")
    server = serve("--upload")
    upload = begin(server, 10)
    for _ in range(4):
        assert "upload-offset" not in server.get(upload, method="HEAD")
        assert tus(server, "HEAD", upload)["upload-offset"] == "0"
