"""Which method carries a file: what is decided for each type of file system, and what is remembered."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carrying import failing
from chute.transfer import method, sendfile
from chute.transfer.method import (
    DEVICES_MAX,
    DISTRUSTED,
    EXAMINED_S,
    IN_MEMORY,
    UNSUPPORTED,
    Device,
    Devices,
    Mount,
    Residency,
    mount_of,
)

FD = 5
"""Stands for an open file whose mount is played."""


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "content"
    path.write_bytes(b"content")
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def status(device: int) -> os.stat_result:
    """The status of a file on the device with that number."""
    return os.stat_result((0o100644, 1, device, 1, 0, 0, 7, 0, 0, 0))


def device_on(
    monkeypatch: pytest.MonkeyPatch, kind: str, mode: method.SendfileMode = "auto"
) -> Device:
    """What is decided for a new device that is mounted as `kind`, and that can be asked what is in memory."""
    monkeypatch.setattr(method, "mount_of", lambda _: Mount(kind, "/somewhere"))
    monkeypatch.setattr(method, "can_probe", lambda _: True)
    return Devices(mode).of(FD, status(1))


# ---------------------------------------------------------------------- what is decided

USER_SPACE = ["fuse.sshfs", "fuse.s3fs", "fuse.gvfsd-fuse", "fuse.rclone"]


@pytest.mark.parametrize("kind", sorted(DISTRUSTED) + USER_SPACE)
def test_t33_distrusted_file_system_is_copied_and_says_so(
    monkeypatch: pytest.MonkeyPatch, kind: str
):
    assert device_on(monkeypatch, kind).copy_reason == kind.encode()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "fuseish", ""])
def test_other_file_systems_are_left_to_sendfile(monkeypatch: pytest.MonkeyPatch, kind: str):
    assert device_on(monkeypatch, kind).copy_reason is None


@pytest.mark.parametrize("kind", [*sorted(DISTRUSTED), *USER_SPACE, "ext4", ""])
def test_t33_on_tries_sendfile_everywhere_and_off_nowhere(
    monkeypatch: pytest.MonkeyPatch, kind: str
):
    assert device_on(monkeypatch, kind, "on").copy_reason is None
    assert device_on(monkeypatch, kind, "off").copy_reason == b"off"


@pytest.mark.parametrize(("mode", "reason"), [("on", b"unavailable"), ("off", b"off")])
def test_system_without_sendfile_copies(
    monkeypatch: pytest.MonkeyPatch, mode: method.SendfileMode, reason: bytes
):
    monkeypatch.setattr(sendfile, "IS_AVAILABLE", False)
    assert device_on(monkeypatch, "ext4", mode).copy_reason == reason


@pytest.mark.parametrize("kind", sorted(IN_MEMORY))
def test_file_system_in_memory_has_no_disk_to_wait_for(monkeypatch: pytest.MonkeyPatch, kind: str):
    monkeypatch.setattr(method, "mount_of", lambda _: Mount(kind, "/somewhere"))
    monkeypatch.setattr(method, "can_probe", lambda _: pytest.fail("it was asked all the same"))
    assert Devices().of(FD, status(1)).residency is Residency.ALWAYS


@pytest.mark.parametrize(
    ("answers", "expected"), [(True, Residency.PROBED), (False, Residency.UNKNOWN)]
)
def test_file_system_on_a_disk_is_asked_whether_it_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, answers: bool, expected: Residency
):
    monkeypatch.setattr(method, "mount_of", lambda _: Mount("overlay", "/"))
    asked = []
    monkeypatch.setattr(method, "can_probe", lambda fd: asked.append(fd) or answers)
    assert Devices().of(FD, status(1)).residency is expected
    assert asked == [FD]


def test_system_that_does_not_tell_the_type_leaves_it_to_sendfile(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(method, "mount_of", lambda _: None)
    monkeypatch.setattr(method, "can_probe", lambda _: False)
    device = Devices().of(FD, status(1))
    assert (device.copy_reason, device.residency) == (None, Residency.UNKNOWN)


# ---------------------------------------------------------------------- what is remembered


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Descriptors that devices were examined with."""
    seen: list[int] = []

    def examine(_: Devices, fd: int) -> Device:
        seen.append(fd)
        return Device()

    monkeypatch.setattr(Devices, "_examine", examine)
    return seen


def test_device_is_examined_once_and_with_the_first_file(examined: list[int]):
    devices = Devices()
    first = devices.of(7, status(1))
    assert devices.of(8, status(1)) is first
    assert devices.of(9, status(2)) is not first
    assert examined == [7, 9]


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; its one element can be changed."""
    now_s = [1000.0]
    monkeypatch.setattr(method, "monotonic_s", lambda: now_s[0])
    return now_s


def test_device_is_examined_again_now_and_then_and_stays_the_same(
    monkeypatch: pytest.MonkeyPatch, fd: int, seconds: list[float]
):
    """What was learned of it stays, and so does the share of the threads that read from it."""
    mounts = []
    monkeypatch.setattr(method, "mount_of", lambda _: mounts.append(0) or Mount("ext4", "/srv"))
    devices = Devices()
    device = devices.of(fd, status(1))
    for _ in range(3):
        seconds[0] += EXAMINED_S - 0.1
        assert devices.of(fd, status(1)) is device
        seconds[0] += 0.1
        assert devices.of(fd, status(1)) is device
    assert len(mounts) == 4


def test_number_that_means_another_mount_by_now_is_another_device(
    monkeypatch: pytest.MonkeyPatch, fd: int, seconds: list[float]
):
    kinds = iter(["tmpfs", "nfs4", "nfs4"])
    monkeypatch.setattr(method, "mount_of", lambda _: Mount(next(kinds), "/srv"))
    devices = Devices()
    before = devices.of(fd, status(1))
    seconds[0] += EXAMINED_S
    after = devices.of(fd, status(1))
    assert (before.copy_reason, after.copy_reason) == (None, b"nfs4")
    assert devices.of(fd, status(1)) is after


def test_device_that_is_mounted_in_two_places_is_one(
    monkeypatch: pytest.MonkeyPatch, fd: int, seconds: list[float]
):
    """Or what was learned would be forgotten, and a dead device get another half of the threads."""
    places = iter(["/srv/a", "/srv/b"])
    monkeypatch.setattr(method, "mount_of", lambda _: Mount("nfs4", next(places)))
    devices = Devices("on")
    device = devices.of(fd, status(1))
    device.note_failure(errno.EINVAL)
    seconds[0] += EXAMINED_S
    assert devices.of(fd, status(1)) is device


def test_devices_remembered_are_bounded(examined: list[int]):
    devices = Devices()
    for number in range(3 * DEVICES_MAX):
        devices.of(FD, status(number))
        assert len(devices._known) <= DEVICES_MAX
    assert len(examined) == 3 * DEVICES_MAX


@pytest.mark.parametrize("number", sorted(UNSUPPORTED), ids=errno.errorcode.get)
def test_t33_error_that_will_be_the_same_next_time_is_remembered(number: int):
    device = Device()
    assert device.note_failure(number) == errno.errorcode[number].encode()
    assert device.copy_reason == errno.errorcode[number].encode()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EIO, b"EIO"),
        (errno.ESTALE, b"ESTALE"),
        (errno.EINTR, b"EINTR"),
        (999_999, b"error"),
        (None, b"error"),
    ],
)
def test_t33_error_of_a_moment_is_named_and_not_remembered(number: int | None, reason: bytes):
    device = Device()
    assert device.note_failure(number) == reason
    assert device.copy_reason is None


@pytest.mark.parametrize("number", [errno.EIO, errno.EBADF], ids=errno.errorcode.get)
def test_error_of_the_first_file_says_nothing_about_its_device(
    monkeypatch: pytest.MonkeyPatch, fd: int, number: int
):
    def fail_once(*arguments: object) -> int:
        monkeypatch.setattr(os, "preadv", lambda *_: 1)
        raise failing(number)

    monkeypatch.setattr(os, "preadv", fail_once)
    monkeypatch.setattr(method, "mount_of", lambda _: Mount("ext4", "/"))
    devices = Devices()
    devices.of(fd, os.fstat(fd))
    assert devices.of(fd, os.fstat(fd)).residency is Residency.PROBED


# ---------------------------------------------------------------------- mountinfo, played

ROOT = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n"
FDINFO = "pos:\t0\nflags:\t0100000\nmnt_id:\t{}\nino:\t42\nlock:\t1: POSIX  ADVISORY  READ 7 fe:00:42 0 EOF\n"

Play = Callable[..., None]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Let /proc say what a test writes: the lines of mountinfo, and the number of the mount of `FD`."""

    def write(mountinfo: str | bytes, mount_id: object = 44, *, fdinfo: str = FDINFO) -> None:
        if isinstance(mountinfo, str):
            mountinfo = mountinfo.encode("utf-8", "surrogateescape")
        files = {
            f"/proc/self/fdinfo/{FD}": fdinfo.format(mount_id).encode(),
            "/proc/self/mountinfo": mountinfo,
        }

        def played_open(name: str, mode: str = "r", **settings: object) -> io.IOBase:
            content = io.BytesIO(files[name])
            return content if "b" in mode else io.TextIOWrapper(content, **settings)

        monkeypatch.setattr(method, "open", played_open, raising=False)

    return write


LINES = {
    "no optional field": (
        "44 27 0:39 / /mnt rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u\n",
        Mount("overlay", "/mnt"),
    ),
    "one": (
        "44 27 0:39 / /mnt rw shared:7 - nfs4 server:/export rw,x= - ext4 y\n",
        Mount("nfs4", "/mnt"),
    ),
    "several": (
        "44 27 0:39 / /mnt rw shared:7 master:2 propagate_from:9 unbindable - xfs /dev/sdb rw\n",
        Mount("xfs", "/mnt"),
    ),
    "subtype": (
        "44 27 0:50 / /home/a/far rw,nosuid,nodev - fuse.sshfs a@far: rw,user_id=1000\n",
        Mount("fuse.sshfs", "/home/a/far"),
    ),
    "bind mount of a folder": (
        "44 27 254:0 /var/www /srv/www rw - ext4 /dev/vda rw\n",
        Mount("ext4", "/srv/www"),
    ),
    "space": (
        "44 27 0:50 / /mnt/two\\040words rw - tmpfs none rw\n",
        Mount("tmpfs", "/mnt/two words"),
    ),
    "tab and newline": (
        "44 27 0:50 / /mnt/a\\011b\\012c rw - tmpfs none rw\n",
        Mount("tmpfs", "/mnt/a\tb\nc"),
    ),
    "backslash": ("44 27 0:50 / /mnt/a\\134b rw - tmpfs none rw\n", Mount("tmpfs", "/mnt/a\\b")),
    "what looks like an escape": (
        "44 27 0:50 / /mnt/a\\134040b rw - tmpfs none rw\n",
        Mount("tmpfs", "/mnt/a\\040b"),
    ),
    "what looks like the separator": (
        "44 27 0:50 / /mnt/\\040-\\040nfs rw - tmpfs none rw\n",
        Mount("tmpfs", "/mnt/ - nfs"),
    ),
    "no UTF-8": ("44 27 0:50 / /mnt/\udcff rw - tmpfs none rw\n", Mount("tmpfs", "/mnt/\udcff")),
}


@pytest.mark.parametrize(("line", "expected"), LINES.values(), ids=LINES.keys())
@pytest.mark.parametrize("others", ["before", "behind"])
def test_mount_is_found_by_its_number(play: Play, line: str, expected: Mount, others: str):
    near_miss = "444 27 0:60 / /other rw - nfs far: rw\n4 1 0:61 / /44 rw - cifs //44 rw\n"
    play(ROOT + near_miss + line if others == "before" else line + near_miss + ROOT)
    assert mount_of(FD) == expected


BROKEN = {
    "mount of another namespace": (ROOT, FDINFO),
    "no mount in fdinfo": (ROOT, "pos:\t0\n"),
    "mnt_id without a number": (ROOT, "mnt_id:\n"),
    "empty mountinfo": ("", FDINFO),
    "line that is cut off": ("44 27 0:39\n", FDINFO),
}


@pytest.mark.parametrize(("mountinfo", "fdinfo"), BROKEN.values(), ids=BROKEN.keys())
def test_mount_that_cannot_be_found_is_none(play: Play, mountinfo: str, fdinfo: str):
    play(mountinfo, fdinfo=fdinfo)
    assert mount_of(FD) is None


def test_mount_is_none_for_a_descriptor_that_is_closed(fd: int):
    closed = os.dup(fd)
    os.close(closed)
    assert mount_of(closed) is None


def test_mount_is_none_on_a_system_without_proc(monkeypatch: pytest.MonkeyPatch, fd: int):
    def missing(name: str, *_: object, **__: object) -> io.IOBase:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    monkeypatch.setattr(method, "open", missing, raising=False)
    assert mount_of(fd) is None


def test_mount_point_with_a_carriage_return_does_not_hide_its_type(play: Play):
    play(ROOT + "44 27 0:50 / /mnt/a\rb rw - nfs4 far:/ rw\n")
    assert mount_of(FD) == Mount("nfs4", "/mnt/a\rb")


def test_mount_point_of_a_user_does_not_hide_the_type_of_another_mount(play: Play):
    play("90 27 0:51 / /home/u/\r44 rw - fuse.x x rw\n44 27 0:50 / /srv rw - nfs4 far:/ rw\n")
    assert mount_of(FD) == Mount("nfs4", "/srv")


@pytest.mark.parametrize("subtype", ["\udcff", 'a"b', "a\\040b", "\x1b[2J"])
def test_reason_to_copy_is_a_token_whatever_the_subtype_is(play: Play, subtype: str):
    """The subtype is whatever the user who mounts it says, and it gets into log lines and a field."""
    play(ROOT + f"44 27 0:50 / /home/u/m rw - fuse.{subtype} x rw\n")
    reason = Devices().of(FD, status(50)).copy_reason
    assert reason is not None
    assert reason.startswith(b"fuse")
    assert reason.replace(b".", b"").replace(b"_", b"").isalnum()


# ---------------------------------------------------------------------- this system


def unescaped(word: bytes) -> bytes:
    return word.decode("unicode_escape").encode("latin-1")


def type_in_proc_mounts(path: Path) -> str:
    """The type of the last mount with the longest mount point above `path`, as /proc/mounts has it."""
    wanted = os.fsencode(path.resolve())
    longest, kind = b"", b""
    for line in Path("/proc/mounts").read_bytes().split(b"\n")[:-1]:
        _, point, this, *_ = line.split(b" ")
        point = unescaped(point)
        is_above = wanted == point or wanted.startswith(point.rstrip(b"/") + b"/")
        if is_above and len(point) >= len(longest):
            longest, kind = point, this
    return kind.decode()


@pytest.mark.skipif(not Path("/proc/mounts").exists(), reason="needs /proc")
def test_type_is_what_the_system_says(tmp_path: Path, fd: int):
    mount = mount_of(fd)
    assert mount is not None
    assert mount.type == type_in_proc_mounts(tmp_path)


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="needs O_PATH")
def test_type_is_found_for_a_descriptor_that_is_only_a_place(tmp_path: Path, fd: int):
    place = os.open(tmp_path / "content", os.O_PATH)
    try:
        assert mount_of(place) == mount_of(fd)
    finally:
        os.close(place)


MOUNTING = r"""
import os, subprocess, sys
from chute.transfer import method
from chute.transfer.method import Devices, mount_of

base = os.fsencode(sys.argv[1])
def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)

mount("-t", "tmpfs", "none", base)  # an overlay cannot lie on another one
def opened(place):
    path = os.path.join(place, b"content")
    with open(path, "wb") as file:
        file.write(bytes(9000))
    return os.open(path, os.O_RDONLY)

def folder(name):
    place = os.path.join(base, name)
    os.makedirs(place, exist_ok=True)
    return place
"""


@pytest.fixture
def run_with_mounts(tmp_path: Path) -> Callable[[str], list[str]]:
    """Run a program in a mount namespace of its own, and return the lines that it prints."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can mount")

    def run(program: str) -> list[str]:
        command = ["unshare", "--mount", "--propagation", "private"]
        if subprocess.run([*command, "mount", "-t", "tmpfs", "none", tmp_path]).returncode:
            pytest.skip("this root may not mount")
        ended = subprocess.run(
            [*command, sys.executable, "-c", MOUNTING + program, str(tmp_path)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        return ended.stdout.split("\n")[:-1]

    return run


def test_real_mounts_are_told_apart(run_with_mounts: Callable[[str], list[str]]):
    lines = run_with_mounts(r"""
for name in (b"plain", b"two words", b"tab\there", b"line\nhere", b"back\\slash", b"back\\040", b" - ", b"\xff"):
    place = folder(name)
    mount("-t", "tmpfs", "none", place)
    fd = opened(place)
    found = mount_of(fd)
    print(found.type, os.fsencode(found.point) == place)
lower, upper, work, place = map(folder, (b"lower", b"upper", b"work", b"overlay"))
mount("-t", "overlay", "overlay", "-o", b"lowerdir=%b,upperdir=%b,workdir=%b" % (lower, upper, work), place)
print(mount_of(opened(place)).type)
bound = folder(b"bound")
mount("--bind", folder(b"plain"), bound)
found = mount_of(opened(bound))
print(found.type, os.fsencode(found.point) == bound)
fd = opened(bound)
subprocess.run(["umount", "--lazy", bound], check=True)
print(mount_of(fd))
""")
    assert lines == [*["tmpfs True"] * 8, "overlay", "tmpfs True", "None"]


def test_number_of_a_device_that_another_file_system_has_got_is_examined_again(
    run_with_mounts: Callable[[str], list[str]],
):
    numbers, *residencies = run_with_mounts(r"""
method.EXAMINED_S = 0
devices = Devices()
place = folder(b"place")
def look():
    fd = opened(place)
    status = os.fstat(fd)
    found = devices.of(fd, status).residency.name
    os.close(fd)
    subprocess.run(["umount", place], check=True)
    return status.st_dev, found
mount("-t", "tmpfs", "none", place)
before = look()
lower, upper, work = map(folder, (b"lower", b"upper", b"work"))
mount("-t", "overlay", "overlay", "-o", b"lowerdir=%b,upperdir=%b,workdir=%b" % (lower, upper, work), place)
after = look()
print(before[0] == after[0])
print(before[1])
print(after[1])
""")
    if numbers == "False":
        pytest.skip("this kernel did not use the number again")
    assert residencies[0] == "ALWAYS"
    assert residencies[1] != "ALWAYS"
