"""Which links are followed, for everything that is found by a name: files, index pages, sidecars, listings, pages."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from running import Serve

POLICIES = ("beneath", "owner", "follow", "deny")
STRANGER = 12_345
LONG_AGO_S = 1_700_000_000
TEXT = b"a text that shrinks " * 1000


@pytest.fixture
def outside(folder: Path, tmp_path: Path) -> Path:
    """A folder beside the served one, with links into it and within the served one."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_bytes(b"secret")
    (outside / "app.js.gz").write_bytes(gzip.compress(b"secret"))
    (outside / "index.html").write_bytes(b"secret index")
    (outside / "404.html").write_bytes(b"secret page")
    (folder / "a.txt").write_bytes(b"a")
    (folder / "app.js").write_bytes(TEXT)
    (folder / "sub").mkdir()
    (folder / "bare").mkdir()
    for name, target in {
        "within.txt": "a.txt",
        "out.txt": "../outside/secret.txt",
        "absolute.txt": str(outside / "secret.txt"),
        "app.js.gz": "../outside/app.js.gz",
        "sub/index.html": "../../outside/index.html",
        "404.html": "../outside/404.html",
        "folder": "../outside",
        "bare/out.txt": "../../outside/secret.txt",
        "bare/within.txt": "../a.txt",
    }.items():
        (folder / name).symlink_to(target)
    for path in (folder / "app.js", outside / "app.js.gz"):
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return outside


@pytest.mark.parametrize("policy", POLICIES)
def test_t21_policy_holds_for_everything_that_has_a_name(
    serve: Serve, folder: Path, outside: Path, policy: str
):
    server = serve("--links", policy, "--no-compress", "--archives")
    leaves = policy in ("owner", "follow")
    follows = policy != "deny"
    for target in ("/out.txt", "/absolute.txt", "/folder/secret.txt"):
        reply = server.get(target)
        assert (reply.status == 200) is leaves, target
        assert (b"secret" in reply.body) is leaves
    assert (server.get("/within.txt").status == 200) is follows
    assert (server.get("/sub/").body == b"secret index") is leaves
    coded = server.get("/app.js", "Accept-Encoding: gzip")
    assert ("content-encoding" in coded) is leaves
    missing = server.get("/none", "Accept: text/html")
    assert missing.status == 404
    assert (missing.body == b"secret page") is leaves
    listed = {entry["name"] for entry in json.loads(server.get("/bare/?format=json").body)}
    assert ("out.txt" in listed) is leaves
    assert ("within.txt" in listed) is follows
    archive = server.get("/bare/?archive=tar").body
    assert (b"secret" in archive) is leaves


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_t21_link_to_what_is_somebody_elses_is_not_followed_by_owner(
    serve: Serve, folder: Path, outside: Path
):
    os.chown(outside / "secret.txt", STRANGER, STRANGER)
    server = serve("--links", "owner")
    assert server.get("/out.txt").status == 404
    assert server.get("/absolute.txt").status == 404
    assert b"secret" not in server.get("/bare/?format=json").body.replace(b"secret.txt", b"")


@pytest.mark.parametrize("policy", POLICIES)
def test_root_itself_may_be_a_link(serve: Serve, folder: Path, tmp_path: Path, policy: str):
    (folder / "a.txt").write_bytes(b"a")
    link = tmp_path / "current"
    link.symlink_to(folder)
    server = serve("--links", policy, folder=link)
    assert server.get("/a.txt").body == b"a"


@pytest.mark.parametrize("policy", POLICIES)
def test_t21_name_never_leads_upwards(serve: Serve, folder: Path, outside: Path, policy: str):
    server = serve("--links", policy)
    for target in (
        "/%2e%2e/outside/secret.txt",
        "/..%2foutside/secret.txt",
        "/sub/%2e%2e/%2e%2e/outside/secret.txt",
        "/%2fetc/hostname",
        "//etc/hostname",
    ):
        reply = server.get(target)
        assert reply.status in (400, 404), target
        assert reply.body != b"secret"


@pytest.mark.parametrize("policy", POLICIES)
def test_t21_upload_never_goes_through_a_link_at_its_end(
    serve: Serve, folder: Path, outside: Path, policy: str
):
    server = serve("--links", policy, "--upload", "--overwrite")
    with server.connect() as wire:
        wire.send(b"PUT /out.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nnew")
        assert wire.read_reply("PUT").status in (403, 409)
    assert (outside / "secret.txt").read_bytes() == b"secret"
