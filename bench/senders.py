"""One way to send a file from Python, as a process: run by `bench.sending`, not by hand.

    python senders.py WAY FILE

Prints the port it listens at. A client asks for the file by one byte, as often as it likes; aiohttp's is asked by HTTP.
The process ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Awaitable, Callable

AskedBy = Callable[[socket.socket], Awaitable[None]]

ONE_ASKING = 1


def threads(send: Callable[[socket.socket], object]) -> None:
    """Serve each connection in a thread of its own, by `send`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)

        def accept() -> None:
            while True:
                client, _ = listener.accept()
                threading.Thread(target=answer, args=[client], daemon=True).start()

        def answer(client: socket.socket) -> None:
            with client:
                while client.recv(ONE_ASKING):
                    send(client)

        threading.Thread(target=accept, daemon=True).start()
        sys.stdin.read()


async def tasks(send: AskedBy) -> None:
    """Serve each connection in a task of its own, by `send`, which gets a non-blocking socket."""
    loop = asyncio.get_running_loop()

    async def answer(client: socket.socket) -> None:
        with client:
            while await loop.sock_recv(client, ONE_ASKING):
                await send(client)

    async def accept(listener: socket.socket) -> None:
        running = set()
        while True:
            client, _ = await loop.sock_accept(listener)
            task = loop.create_task(answer(client))
            running.add(task)
            task.add_done_callback(running.discard)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        print(listener.getsockname()[1], flush=True)
        accepting = loop.create_task(accept(listener))
        await asyncio.to_thread(sys.stdin.read)
        accepting.cancel()


async def by_chute(path: str) -> None:
    import chute

    with open(path, "rb") as file:

        async def send(client: socket.socket) -> None:
            await chute.sock_sendfile(client, file)

        await tasks(send)


async def by_loop_sock_sendfile(path: str) -> None:
    loop = asyncio.get_running_loop()
    with open(path, "rb", buffering=0) as file:

        async def send(client: socket.socket) -> None:
            await loop.sock_sendfile(client, file)

        await tasks(send)


async def by_reading(path: str) -> None:
    loop = asyncio.get_running_loop()

    async def send(client: socket.socket) -> None:
        with open(path, "rb", buffering=0) as file:
            while data := file.read(256 * 1024):
                await loop.sock_sendall(client, data)

    await tasks(send)


async def by_loop_sendfile(path: str) -> None:
    """Over a transport, the way that web frameworks go."""
    loop = asyncio.get_running_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with open(path, "rb", buffering=0) as file:
            while await reader.read(ONE_ASKING):
                await loop.sendfile(writer.transport, file)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


async def by_aiohttp(path: str) -> None:
    from aiohttp import web

    async def answer(_: web.Request) -> web.FileResponse:
        return web.FileResponse(path)

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await web.SockSite(runner, listener).start()
        print(listener.getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()


def by_chute_in_threads(path: str) -> None:
    import chute

    with open(path, "rb") as file:
        threads(lambda client: chute.sendfile(client, file))


def by_socket_sendfile(path: str) -> None:
    def send(client: socket.socket) -> None:
        with open(path, "rb") as file:
            client.sendfile(file)

    threads(send)


LOOPS = {
    "chute.sock_sendfile": by_chute,
    "chute.sock_sendfile, uvloop": by_chute,
    "loop.sock_sendfile": by_loop_sock_sendfile,
    "loop.sendfile": by_loop_sendfile,
    "read and sock_sendall": by_reading,
    "read and sock_sendall, uvloop": by_reading,
    "aiohttp FileResponse": by_aiohttp,
}
THREADS = {
    "chute.sendfile, thread": by_chute_in_threads,
    "socket.sendfile, thread": by_socket_sendfile,
}
WAYS = (*LOOPS, *THREADS)


def main(way: str, path: str) -> None:
    if way in THREADS:
        THREADS[way](path)
        return
    factory = None
    if way.endswith("uvloop"):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(LOOPS[way](path))


if __name__ == "__main__":
    main(*sys.argv[1:])
