"""Programs that people use, at a folder that is served: package tools, mirrors, version control, data frames."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from running import Serve, wait_until

CONTENT = os.urandom(3_000_000)
SECONDS = 60


@pytest.fixture
def poller() -> str:
    """One of them: which poller carries an answer changes nothing about what is asked here."""
    return "auto"


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")


def make_wheel(folder: Path) -> Path:
    """Write the smallest wheel that pip installs."""
    path = folder / "tiny_thing-1.0-py3-none-any.whl"
    members = {
        "tiny_thing.py": b"answer = 42\n",
        "tiny_thing-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n",
        "tiny_thing-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "tiny_thing-1.0.dist-info/RECORD"
    lines = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}"
        for name, content in members.items()
    ]
    members[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)
    return path


def test_pip_installs_from_a_folder_of_wheels(serve: Serve, folder: Path, tmp_path: Path):
    """The listing is the index: PEP 503 asks for a page of links, and no more."""
    place = folder / "simple" / "tiny-thing"
    place.mkdir(parents=True)
    make_wheel(place)
    server = serve()
    environment = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    environment.pop("PIP_FIND_LINKS")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--no-cache-dir", "--no-deps", "--quiet"),
            *("--disable-pip-version-check", "--target", str(tmp_path / "target")),
            *("--index-url", f"{server.url}/simple/", "tiny-thing"),
        ],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "target" / "tiny_thing.py").read_text() == "answer = 42\n"


@needs("wget")
def test_wget_mirrors_a_listing(serve: Serve, folder: Path, tmp_path: Path):
    names = ["a.txt", "with space.txt", "ünï.txt", "sub/b.bin", "sub/deep/c.txt", "100%.txt"]
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    server = serve("--archives")
    mirror = tmp_path / "mirror"
    result = subprocess.run(
        ["wget", "-q", "-r", "-np", "-nH", "-P", str(mirror), f"{server.url}/"],
        capture_output=True,
        timeout=SECONDS,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert result.returncode == 0, result.stderr
    for name in names:
        assert (mirror / name).read_bytes() == name.encode() * 100, name
    targets = [line.split('"')[1].split()[1] for line in server.log_lines(len(names))]
    assert not [target for target in targets if "archive" in target]
    # wget follows the three links that sort, but none of those on the pages behind them.
    folders = 3
    assert len([target for target in targets if "?" in target]) <= 3 * folders


@needs("git")
def test_git_clones_over_dumb_http(serve: Serve, folder: Path, tmp_path: Path):
    def git(*arguments: str, place: Path) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
        return subprocess.run(
            ["git", *identity, *arguments],
            cwd=place,
            check=True,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        ).stdout

    source = tmp_path / "source"
    source.mkdir()
    git("init", "-q", place=source)
    for number in range(3):
        (source / f"file{number}").write_bytes(CONTENT[number * 1000 :][:50_000])
        git("add", ".", place=source)
        git("commit", "-q", "-m", f"commit {number}", place=source)
    git("clone", "-q", "--bare", str(source), str(folder / "project.git"), place=tmp_path)
    git("update-server-info", place=folder / "project.git")
    server = serve()
    git("clone", "-q", f"{server.url}/project.git", "cloned", place=tmp_path)
    for number in range(3):
        cloned = tmp_path / "cloned" / f"file{number}"
        assert cloned.read_bytes() == (source / f"file{number}").read_bytes()
    assert git("rev-parse", "HEAD", place=source) == git(
        "rev-parse", "HEAD", place=tmp_path / "cloned"
    )


def write_parquet(path: Path) -> int:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    count = 200_000
    table = arrow.table(
        {"number": list(range(count)), "noise": [os.urandom(8) for _ in range(count)]}
    )
    parquet.write_table(table, path, row_group_size=20_000)
    return count


def test_parquet_is_read_by_ranges(serve: Serve, folder: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    count = write_parquet(folder / "data.parquet")
    server = serve()
    opened = fsspec.open(f"{server.url}/data.parquet", block_size=64 * 1024, cache_type="readahead")
    with opened as file:
        table = parquet.ParquetFile(file).read_row_group(3, columns=["number"])
    assert table["number"].to_pylist() == list(range(60_000, 80_000))
    assert count == 200_000
    lines = server.log_lines(3)
    assert any(" 206 " in line for line in lines)
    size = (folder / "data.parquet").stat().st_size
    carried = sum(int(line.split('"')[2].split()[1]) for line in lines if '"GET ' in line)
    assert carried < size / 2, "not the whole file"


def test_duckdb_reads_parquet_over_http(serve: Serve, folder: Path):
    duckdb = pytest.importorskip("duckdb")
    count = write_parquet(folder / "data.parquet")
    server = serve()
    connection = duckdb.connect()
    try:
        connection.execute("LOAD httpfs")
    except duckdb.Error:
        pytest.skip("its extension httpfs is not installed")
    query = f"SELECT count(*), max(number) FROM '{server.url}/data.parquet'"
    assert connection.execute(query).fetchone() == (count, count - 1)


@needs("curl")
def test_curl_resumes_and_decodes(serve: Serve, folder: Path, tmp_path: Path):
    (folder / "large.bin").write_bytes(CONTENT)
    (folder / "text.txt").write_bytes(b"a text that shrinks " * 10_000)
    server = serve()
    (tmp_path / "large.bin").write_bytes(CONTENT[:1_000_000])
    subprocess.run(
        ["curl", "-sf", "-C", "-", "-O", f"{server.url}/large.bin"],
        cwd=tmp_path,
        check=True,
        timeout=SECONDS,
    )
    assert (tmp_path / "large.bin").read_bytes() == CONTENT
    got = subprocess.run(
        ["curl", "-sf", "--compressed", "-w", "%{size_download}", f"{server.url}/text.txt"],
        capture_output=True,
        check=True,
        timeout=SECONDS,
    ).stdout
    content, size = got[: 20 * 10_000], int(got[20 * 10_000 :])
    assert content == b"a text that shrinks " * 10_000
    assert size < 10_000


@needs("aria2c")
def test_aria2_fetches_in_parts(serve: Serve, folder: Path, tmp_path: Path):
    (folder / "large.bin").write_bytes(CONTENT)
    server = serve()
    subprocess.run(
        ["aria2c", "-q", "-x4", "-s4", "-k", "1M", "-d", tmp_path, f"{server.url}/large.bin"],
        check=True,
        timeout=SECONDS,
    )
    assert (tmp_path / "large.bin").read_bytes() == CONTENT
    parts = []

    def are_logged() -> bool:
        parts[:] = [
            line for line in server.log_lines(1) if "Range" not in line and "large.bin" in line
        ]
        return len(parts) >= 2

    wait_until(are_logged, what="more than one connection")


TUS_UPLOAD = """
import sys
from tusclient.client import TusClient
url, source, name = sys.argv[1:]
TusClient(url).uploader(source, chunk_size=1_000_000, metadata={"filename": name}).upload()
"""


def test_tuspy_uploads_in_parts(serve: Serve, folder: Path, tmp_path: Path):
    pytest.importorskip("tusclient")
    source = tmp_path / "source.bin"
    source.write_bytes(CONTENT)
    server = serve("--upload")
    command = [sys.executable, "-c", TUS_UPLOAD, f"{server.url}/", str(source), "ünï.bin"]
    subprocess.run(command, check=True, timeout=SECONDS)
    assert (folder / "ünï.bin").read_bytes() == CONTENT
