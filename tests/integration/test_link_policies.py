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
def poller() -> str:
    """One of them: which poller carries an answer changes nothing about what a name leads to."""
    return "auto"


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


@pytest.mark.parametrize("policy", POLICIES)
def test_t21_refused_link_is_answered_like_a_name_that_does_not_exist(
    serve: Serve, folder: Path, outside: Path, policy: str
):
    """404 and not nginx's 403, under which a stranger could tell links from names that lead nowhere."""
    (folder / "dangling").symlink_to("nothing")
    (folder / "loop").symlink_to("loop")
    (folder / "404.html").unlink()
    server = serve("--links", policy, "--no-listing")
    refused = {"/dangling", "/loop"}
    if policy in ("beneath", "deny"):
        refused |= {"/out.txt", "/absolute.txt", "/folder/", "/folder", "/folder/secret.txt"}
    if policy == "deny":
        refused |= {"/within.txt"}
    nothing = server.get("/no-such-name")
    assert nothing.status == 404
    for target in refused:
        reply = server.get(target)
        assert (reply.status, reply.body) == (404, nothing.body), target


@pytest.mark.parametrize("policy", POLICIES)
def test_t21_try_files_passes_over_what_is_refused(
    serve: Serve, folder: Path, outside: Path, policy: str
):
    (folder / "page.html").symlink_to("../outside/index.html")
    (folder / "inner.html").symlink_to("a.txt")
    (folder / "last.html").write_bytes(b"the last one")
    server = serve("--links", policy, "--try-files", "$uri $uri.html /last.html")
    browser = "Accept: text/html"
    leaves = policy in ("owner", "follow")
    assert server.get("/page", browser).body == (b"secret index" if leaves else b"the last one")
    assert server.get("/inner", browser).body == (b"the last one" if policy == "deny" else b"a")


@pytest.mark.parametrize("policy", POLICIES)
def test_t21_page_for_everything_else_may_be_a_link_like_any_file(
    serve: Serve, folder: Path, outside: Path, policy: str
):
    (folder / "index.html").symlink_to("../outside/index.html")
    (folder / "404.html").unlink()
    server = serve("--links", policy, "--spa", "--no-listing")
    reply = server.get("/user/42", "Accept: text/html")
    if policy in ("owner", "follow"):
        assert (reply.status, reply.body) == (200, b"secret index")
    else:
        assert reply.status == 404
        assert b"secret" not in reply.body


@pytest.mark.parametrize("policy", POLICIES)
def test_t21_sidecar_that_is_a_link_is_one_only_where_links_are_followed(
    serve: Serve, folder: Path, outside: Path, policy: str
):
    codings = {"gzip": "gz", "br": "br", "zstd": "zst"}
    (folder / "app.js.gz").unlink()
    (folder / "other.js").write_bytes(TEXT)
    for place in (outside / "form", folder / "sub/form"):
        place.write_bytes(b"coded")
    for path in (folder / "other.js", outside / "form", folder / "sub/form"):
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    for extension in codings.values():
        (folder / f"app.js.{extension}").symlink_to("../outside/form")
        (folder / f"other.js.{extension}").symlink_to("sub/form")
    server = serve("--links", policy, "--no-compress")
    is_taken = {"/app.js": policy in ("owner", "follow"), "/other.js": policy != "deny"}
    for coding in codings:
        for name, coded in is_taken.items():
            reply = server.get(name, f"Accept-Encoding: {coding}")
            assert reply.body == (b"coded" if coded else TEXT), (name, coding)
            assert reply.get("content-encoding") == (coding if coded else None)


@pytest.mark.parametrize("policy", POLICIES)
def test_t21_everything_that_is_listed_is_served_and_nothing_is_told_of_the_rest(
    serve: Serve, folder: Path, outside: Path, policy: str
):
    place = folder / "bare"
    (place / "to-folder").symlink_to("../../outside")
    (place / "to-sub").symlink_to("../sub")
    (place / "dangling").symlink_to("nothing")
    (place / "loop").symlink_to("loop")
    (place / "plain.txt").write_bytes(b"plain")
    server = serve("--links", policy)
    reply = server.get("/bare/?format=json")
    listed = {entry["name"].rstrip("/") for entry in json.loads(reply.body)}
    assert (
        listed
        == {
            "beneath": {"plain.txt", "within.txt", "to-sub"},
            "owner": {"plain.txt", "within.txt", "to-sub", "out.txt", "to-folder"},
            "follow": {"plain.txt", "within.txt", "to-sub", "out.txt", "to-folder"},
            "deny": {"plain.txt"},
        }[policy]
    )
    for name in listed:
        # 301 adds the slash to a folder.
        assert server.get(f"/bare/{name}").status in (200, 301), name
    for name in {entry.name for entry in place.iterdir()} - listed:
        assert server.get(f"/bare/{name}").status == 404, name
        for form in ("html", "json", "text"):
            assert name.encode() not in server.get(f"/bare/?format={form}").body


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_t21_owner_holds_for_everything_that_has_a_name(serve: Serve, folder: Path, outside: Path):
    """What lies outside is somebody else's; the links are ours."""
    for path in (outside, *outside.iterdir()):
        os.chown(path, STRANGER, STRANGER)
    (folder / "page.html").symlink_to("../outside/index.html")
    server = serve("--links", "owner", "--no-compress", "--try-files", "$uri $uri.html $uri/ =404")
    for target in ("/out.txt", "/folder/secret.txt", "/folder/", "/sub/index.html", "/page"):
        reply = server.get(target, "Accept: text/html")
        assert reply.status == 404, target
        assert b"secret" not in reply.body
    assert "content-encoding" not in server.get("/app.js", "Accept-Encoding: gzip")
    listed = {entry["name"] for entry in json.loads(server.get("/bare/?format=json").body)}
    assert listed == {"within.txt"}


@pytest.mark.parametrize("policy", ["beneath", "owner", "deny"])
def test_t21_file_that_becomes_a_link_is_no_longer_served(
    serve: Serve, folder: Path, outside: Path, policy: str
):
    """However often it was served before: what is kept of it is asked again by the same rule."""
    if policy == "owner":
        if os.geteuid() != 0:
            pytest.skip("only root gives files away")
        os.chown(outside / "secret.txt", STRANGER, STRANGER)
    (folder / "404.html").unlink()
    place = folder / "changing.txt"
    place.write_bytes(b"secret")
    for path in (place, outside / "secret.txt"):
        os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    server = serve("--links", policy, "--valid", "0")
    with server.connect() as wire:
        for _ in range(4):
            assert wire.get("/changing.txt").body == b"secret"
        place.unlink()
        place.symlink_to("../outside/secret.txt")
        for _ in range(4):
            assert wire.get("/changing.txt").status == 404


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives links away")
def test_t21_link_that_is_given_away_is_no_longer_followed_by_owner(
    serve: Serve, folder: Path, outside: Path
):
    server = serve("--links", "owner", "--valid", "0")
    for _ in range(4):
        assert server.get("/out.txt").body == b"secret"
    os.lchown(folder / "out.txt", STRANGER, STRANGER)
    assert server.get("/out.txt").status == 404


@pytest.mark.parametrize("policy", ["beneath", "deny"])
def test_t21_upload_never_goes_through_a_link_on_its_way_out(
    serve: Serve, folder: Path, outside: Path, policy: str
):
    server = serve("--links", policy, "--upload", "--overwrite")
    with server.connect() as wire:
        wire.send(b"PUT /folder/new.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nnew")
        assert wire.read_reply("PUT").status in (403, 404, 409)
    assert not (outside / "new.txt").exists()
