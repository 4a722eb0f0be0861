"""`chute compress` as a user types it: what is made, what is said, and what is left when it goes wrong."""

from __future__ import annotations

import gzip
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import unprivileged
from chute.static.codecs import BR, CODINGS, ZSTD, is_available
from disk import LONG_AGO_NS, write

TIMEOUT_S = 30
TEXT = b"".join(b"line %d of a page that repeats itself\n" % number for number in range(400))
AVAILABLE = [coding for coding in CODINGS if is_available(coding)]
SUFFIXES = sorted(coding.suffix.decode() for coding in AVAILABLE)
ESCAPE = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")
COMMAND = [sys.executable, "-m", "chute", "compress"]


def compress(*arguments: str | Path, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        **settings,
    )


def on_terminal(*arguments: str | Path, **environment: str) -> str:
    """Run it with a terminal of its own, and return what the terminal got."""
    master, slave = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**kept, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    ) as process:
        os.close(slave)
        chunks = []
        try:
            while chunk := os.read(master, 65536):
                chunks.append(chunk)
        except OSError:
            pass  # EIO: the other side is closed, which is how a terminal ends
        os.close(master)
        assert process.wait(TIMEOUT_S) == 0
    return b"".join(chunks).decode()


def names(folder: Path) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(place, name), folder)
        for place, _, found in os.walk(folder)
        for name in found
    )


@pytest.fixture
def site(folder: Path) -> Path:
    """Two pages, one of them in a folder, and two files that get no sidecars."""
    (folder / "sub").mkdir()
    write(folder / "page.js", TEXT)
    write(folder / "sub" / "page.css", TEXT)
    write(folder / "photo.png", TEXT)
    write(folder / "small.txt", b"small")
    return folder


def test_every_file_that_shrinks_gets_its_sidecars(site: Path):
    before = names(site)
    result = compress(site)
    assert (result.returncode, result.stderr) == (0, "")
    made = [f"{name}{suffix}" for name in ("page.js", "sub/page.css") for suffix in SUFFIXES]
    assert names(site) == sorted([*before, *made])
    assert gzip.decompress((site / "sub/page.css.gz").read_bytes()) == TEXT
    assert {(site / name).stat().st_mtime_ns for name in made} == {LONG_AGO_NS}
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"2 files in {site}, ")
    assert re.search(r"^  gzip +2 +0 +0 ", result.stdout, re.MULTILINE)
    assert "skipped: 1 of a type that does not shrink, 1 smaller than 256 bytes" in lines


def test_second_run_makes_nothing(site: Path):
    compress(site)
    before = {name: (site / name).stat() for name in names(site)}
    result = compress(site)
    assert re.search(r"^  gzip +0 +2 +0 ", result.stdout, re.MULTILINE)
    after = {name: (site / name).stat() for name in names(site)}
    assert {name: each.st_ino for name, each in after.items()} == {
        name: each.st_ino for name, each in before.items()
    }


def test_force_makes_all_again(site: Path):
    compress(site, "--coding", "gzip")
    before = (site / "page.js.gz").stat()
    compress(site, "--coding", "gzip", "--force", "--level", "gzip=1")
    assert (site / "page.js.gz").stat().st_ino != before.st_ino
    assert (site / "page.js.gz").stat().st_size != before.st_size


def test_changed_file_gets_new_sidecars(site: Path):
    compress(site)
    write(site / "page.js", TEXT[::-1], modified_ns=LONG_AGO_NS - 1)
    result = compress(site)
    assert gzip.decompress((site / "page.js.gz").read_bytes()) == TEXT[::-1]
    assert f"replaced: {len(AVAILABLE)} sidecar" in result.stdout


def test_dry_run_says_what_would_be_made_and_does_nothing(site: Path):
    before = names(site)
    result = compress(site, "--dry-run")
    assert result.returncode == 0
    assert "would make sub/page.css.gz\n" in result.stdout
    assert names(site) == before


def test_coding_and_least_size_can_be_chosen(site: Path):
    result = compress(site, "--coding", "gzip", "--min", len(TEXT) + 1)
    assert "nothing to compress" in result.stdout
    compress(site, env={**os.environ, "CHUTE_COMPRESS_CODING": "gzip"})
    assert [name for name in names(site) if name.startswith("page.js")] == ["page.js", "page.js.gz"]


def test_hidden_names_wait_to_be_asked_for(site: Path):
    write(site / ".page.js", TEXT)
    assert "1 hidden" in compress(site).stdout
    assert ".page.js.gz" not in names(site)
    compress(site, "--hidden")
    assert ".page.js.gz" in names(site)


def test_quiet_says_nothing(site: Path):
    result = compress(site, "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert "page.js.gz" in names(site)


def test_summary_for_programs(site: Path):
    write(site / "noise.txt", random.Random(1).randbytes(2000))
    values = json.loads(compress(site, "--json", "--coding", "gzip").stdout)
    assert (values["files"], values["bytes"]) == (3, 2 * len(TEXT) + 2000)
    assert values["skipped"] == {"type": 1, "small": 1}
    tally = values["codings"]["gzip"]
    assert (tally["made"], tally["not_smaller"], tally["failed"]) == (2, 1, 0)
    size = sum((site / name).stat().st_size for name in names(site) if name.endswith(".gz"))
    assert (tally["bytes_before"], tally["bytes_after"]) == (2 * len(TEXT), size)
    assert not values["stopped"]


def test_terminal_gets_a_bar_and_then_the_summary(site: Path):
    text = on_terminal(site)
    assert "compressing" in text
    assert "\x1b[1m2 files" in text
    lines = [ESCAPE.sub("", line) for line in text.splitlines()]
    assert any(re.match(r"  gzip +2 +0 +0 ", line) for line in lines)


def test_terminal_that_is_told_nothing_gets_no_bar(site: Path):
    assert on_terminal(site, "--quiet") == ""


def test_orphans_of_ours_are_pruned_when_asked_and_others_left(site: Path):
    try:
        os.setxattr(site / "page.js", "user.probe", b"")
    except (OSError, AttributeError):
        pytest.skip("no extended attributes here")
    compress(site, "--coding", "gzip")
    (site / "page.js").unlink()
    write(site / "dump.txt.gz", gzip.compress(TEXT))
    assert "1 sidecar of files that have gone (--prune" in compress(site).stdout
    assert "would remove page.js.gz\n" in compress(site, "--prune", "--dry-run").stdout
    assert "page.js.gz" in names(site)
    result = compress(site, "--prune")
    assert "removed page.js.gz\n" in result.stdout
    assert re.search(r"^left: 1 name of a sidecar .* dump.txt.gz$", result.stdout, re.MULTILINE)
    assert "page.js.gz" not in names(site)
    assert "dump.txt.gz" in names(site)


def test_failure_is_named_and_the_rest_made(site: Path):
    (site / "page.js.gz").mkdir()
    result = compress(site, "--coding", "gzip")
    assert result.returncode == 1
    assert result.stderr == "chute: error: page.js.gz: something that is no file has the name\n"
    assert "sub/page.css.gz" in names(site)


def test_folder_that_may_not_be_written_is_told(site: Path):
    (site / "sub").chmod(0o555)
    drop = unprivileged._give_up_reading_everything if os.geteuid() == 0 else None
    try:
        result = compress(site, "--coding", "gzip", preexec_fn=drop)
    except subprocess.SubprocessError:
        pytest.skip("this root may not give up its privileges")
    finally:
        (site / "sub").chmod(0o755)
    assert result.returncode == 1
    assert result.stderr == "chute: error: sub/page.css.gz: Permission denied\n"
    assert "page.js.gz" in names(site)


def test_name_that_a_terminal_would_obey_is_escaped(site: Path):
    (site / "a\x1b[2Jb.js.gz").mkdir()
    write(site / "a\x1b[2Jb.js", TEXT)
    result = compress(site, "--coding", "gzip")
    assert "\x1b" not in result.stdout + result.stderr
    assert "a\\x1b[2Jb.js.gz: " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument 'DIR'"),
        (["none"], "there is no folder"),
        (["page.js"], "is not a folder"),
        ([".", "--coding", "lzma"], "'lzma' is not one of"),
        ([".", "--level", "gzip"], "is no level"),
        ([".", "--level", "gzip=99"], "has levels from"),
        ([".", "--level", "lzma=1"], "is no level"),
        ([".", "--jobs", "0"], "0 is not in the range"),
    ],
)
def test_wrong_command_line_is_one_line(site: Path, arguments: list[str], words: str):
    before = names(site)
    result = compress(*arguments, cwd=site, env={**os.environ, "PYTHONPATH": SOURCE})
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("chute: error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert words in result.stderr
    assert names(site) == before


SOURCE = str(Path(__file__).resolve().parents[2] / "src")


@pytest.mark.parametrize(
    ("coding", "module"), [(BR, "brotli"), (ZSTD, "zstandard")], ids=["br", "zstd"]
)
def test_missing_package_is_told(site: Path, tmp_path: Path, coding: object, module: str):
    """A module of that name that cannot be imported stands in for none."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for name in (module, "brotlicffi") if module == "brotli" else (module,):
        (hidden / f"{name}.py").write_text("raise ImportError")
    environment = {**os.environ, "PYTHONPATH": f"{hidden}{os.pathsep}{SOURCE}"}
    if sys.version_info >= (3, 14) and module == "zstandard":
        pytest.skip("the standard library has it")
    result = compress(site, env=environment)
    assert result.returncode == 0, result.stderr
    assert module in result.stdout
    assert "pip install 'chute[compress]'" in result.stdout
    assert "page.js.gz" in names(site)
    result = compress(site, "--coding", coding.name.decode(), env=environment)  # type: ignore[attr-defined]
    assert result.returncode == 2
    assert "not installed (pip install" in result.stderr


def test_interrupted_run_leaves_whole_sidecars_only(folder: Path):
    """Ctrl-C comes when the first sidecar is there and others are being made."""
    noise = random.Random(1)
    words = [noise.randbytes(4).hex().encode() for _ in range(3000)]
    content = b" ".join(noise.choice(words) for _ in range(200_000))
    write(folder / "first.txt", TEXT)
    for number in range(40):
        write(folder / f"{number}.txt", content)
    with subprocess.Popen(
        [*COMMAND, str(folder), "--jobs", "2", "--coding", "gzip"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + TIMEOUT_S
        while not list(folder.glob("*.gz")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert errors == ""
    assert "stopped: what is counted is complete" in output
    made = list(folder.glob("*.gz"))
    assert re.search(rf"^  gzip +{len(made)} ", output, re.MULTILINE), output
    assert 0 < len(made) < 41
    assert all(gzip.decompress(each.read_bytes()) in (content, TEXT) for each in made)
    assert not [name for name in names(folder) if name.startswith(".")]
