"""What only an event loop can get wrong: cancellation, other tasks, transports, several senders."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import chute
from chute.transfer import aio
from downloads import KIB, MIB, make_sparse, numbered
from sending import Reader, connected, descriptors_stay, run_in_loop

Run = Callable[..., object]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return lambda main: run_in_loop(str(request.param), main)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    make_sparse(path, 64 * MIB)
    return path


def non_blocking(kind: str = "tcp", **settings: int) -> tuple[socket.socket, socket.socket]:
    ours, theirs = connected(kind, **settings)
    ours.setblocking(False)
    return ours, theirs


def test_t11_cancelling_leaves_nothing_registered_and_nothing_open(run: Run, large: Path):
    ours, theirs = non_blocking()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sending = asyncio.create_task(chute.sock_sendfile(ours, large))
        await asyncio.sleep(0.1)
        assert not sending.done()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert not loop.remove_writer(ours.fileno())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with ours, theirs:
        with descriptors_stay():
            run(main)
        assert aio._busy == set()
        assert ours.gettimeout() == 0


def test_t11_cancelling_while_the_disk_is_read_closes_the_file_afterwards(
    run: Run, large: Path, monkeypatch: pytest.MonkeyPatch
):
    may_go_on = threading.Event()

    def blocking_perform(*_: object) -> None:
        may_go_on.wait(10)

    monkeypatch.setattr(aio, "blocking_perform", blocking_perform)
    monkeypatch.setattr("chute.transfer.residency.is_resident", lambda *_: False)
    devices = chute.transfer.method.Devices()
    device = chute.transfer.method.Device(None, chute.transfer.method.Residency.PROBED)
    monkeypatch.setattr(devices, "of", lambda *_: device)
    monkeypatch.setattr(aio, "_devices", devices)
    ours, theirs = non_blocking()

    async def main() -> None:
        sending = asyncio.create_task(chute.sock_sendfile(ours, large))
        await asyncio.sleep(0.1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        may_go_on.set()

    with ours, theirs, descriptors_stay():
        run(main)


def test_t11_cancelling_while_the_file_is_opened_closes_it_afterwards(
    run: Run, large: Path, monkeypatch: pytest.MonkeyPatch
):
    may_go_on = threading.Event()
    really_open = aio.blocking_open

    def blocking_open(*arguments: object) -> object:
        opened = really_open(*arguments)
        may_go_on.wait(10)
        return opened

    monkeypatch.setattr(aio, "blocking_open", blocking_open)
    ours, theirs = non_blocking()

    async def main() -> None:
        sending = asyncio.create_task(chute.sock_sendfile(ours, large))
        await asyncio.sleep(0.1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        may_go_on.set()

    with ours, theirs, descriptors_stay():
        run(main)


def test_other_tasks_have_their_turn_between_chunks(run: Run, large: Path):
    ours, theirs = non_blocking()
    turns = 0

    async def main() -> None:
        nonlocal turns
        sending = asyncio.create_task(chute.sock_sendfile(ours, large))
        while not sending.done():
            turns += 1
            await asyncio.sleep(0)
        assert (await sending).sent == 64 * MIB

    with ours, theirs:
        reader = Reader(theirs, keeps=False, at_once=1 << 20)
        run(main)
        ours.close()
        reader.result()
    assert turns >= 64


def test_many_senders_in_one_loop_do_not_disturb_each_other(run: Run, tmp_path: Path):
    content = numbered(3 * MIB)
    place = tmp_path / "content"
    place.write_bytes(content)
    pairs = [non_blocking("unix", send_buffer=16 * KIB) for _ in range(20)]
    readers = [Reader(theirs) for _, theirs in pairs]

    async def main() -> None:
        with place.open("rb") as file:
            sending = [
                chute.sock_sendfile(ours, file, number * 1000, MIB)
                for number, (ours, _) in enumerate(pairs)
            ]
            assert {carried.sent for carried in await asyncio.gather(*sending)} == {MIB}

    with descriptors_stay():
        run(main)
    for number, ((ours, theirs), reader) in enumerate(zip(pairs, readers, strict=True)):
        ours.close()
        assert reader.result() == content[number * 1000 :][:MIB]
        theirs.close()


def test_second_sender_to_one_socket_is_misuse(run: Run, large: Path):
    ours, theirs = non_blocking()

    async def main() -> None:
        sending = asyncio.create_task(chute.sock_sendfile(ours, large))
        await asyncio.sleep(0.05)
        with pytest.raises(chute.MisuseError, match="another"):
            await chute.sock_sendfile(ours, large)
        sending.cancel()
        await asyncio.wait([sending])

    with ours, theirs:
        run(main)


def test_blocking_socket_is_refused(run: Run, large: Path):
    ours, theirs = connected("tcp")

    async def main() -> None:
        with pytest.raises(chute.NotSendable, match="setblocking"):
            await chute.sock_sendfile(ours, large)

    with ours, theirs:
        run(main)


def test_non_blocking_socket_without_a_timeout_is_refused_by_the_blocking_function(large: Path):
    ours, theirs = non_blocking()
    with ours, theirs:
        with pytest.raises(chute.NotSendable, match="sock_sendfile"):
            chute.sendfile(ours, large)
        reader = Reader(theirs, keeps=False)
        assert chute.sendfile(ours, large, timeout=10).sent == 64 * MIB
        ours.close()
        reader.result()


def test_t14_socket_of_a_transport_is_refused(run: Run, large: Path):
    """What its transport holds in its buffer would be overtaken."""

    async def main() -> None:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with pytest.raises(chute.NotSendable):
                await chute.sock_sendfile(writer.get_extra_info("socket"), large)
            writer.write(b"refused")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b"refused"
        writer.close()
        server.close()

    run(main)


def test_t08_waiting_costs_no_processor_time(run: Run, large: Path):
    ours, theirs = non_blocking()

    async def main() -> None:
        sending = asyncio.create_task(chute.sock_sendfile(ours, large))
        await asyncio.sleep(0.1)
        before = time.process_time()
        await asyncio.sleep(1)
        assert time.process_time() - before < 0.3
        sending.cancel()
        await asyncio.wait([sending])

    with ours, theirs:
        run(main)


def test_public_names_are_pinned():
    expected = (Path(__file__).parents[1] / "public_api.txt").read_text().split()
    assert sorted(chute.__all__) == expected
    assert all(getattr(chute, name) is not None for name in expected)
    assert dir(chute) == expected


def test_sending_loads_nothing_of_the_server():
    code = (
        "import sys, chute; chute.sendfile; chute.sock_sendfile;"
        "print(sorted({name.split('.')[1] for name in sys.modules if name.startswith('chute.')}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == "['clock', 'errors', 'transfer']"
