"""A TCP line that can be cut, slowed, and made to swallow everything: what lies between a worker and a service.

It runs on the caller's event loop, which must not be blocked for longer than a line may hesitate.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable

from localstack.ports import HOST

CHUNK_BYTES = 64 * 1024
CHUNKS_HELD = 16  # each way of each connection, while it waits for its time or for the black hole to end
_NO_LINGER = struct.pack("ii", 1, 0)  # closing then sends a reset, whatever is still unsent


class Proxy:
    """Passes what comes to `port` of 127.0.0.1 on to `target_port`, as long as nothing is broken on purpose.

    What one side does (bytes, end, reset) reaches the other in order, and neither through a black hole nor before
    its delay: as on a real line, bytes that went into a black hole arrive when it ends.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self._delay_seconds = 0.0
        self._passable = asyncio.Event()
        self._passable.set()
        self._ends: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    @classmethod
    async def open(cls, target_port: int) -> "Proxy":
        """A proxy on a port that the system picked; nobody need listen on the target's port yet."""
        proxy = cls(target_port)
        proxy._server = await asyncio.start_server(proxy._accepted, HOST, limit=CHUNK_BYTES, backlog=1000)
        proxy.port = proxy._server.sockets[0].getsockname()[1]
        return proxy

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._ends)

    def cut(self) -> None:
        """Reset every connection at both ends, and drop what is under way; new ones are served."""
        for task, ends in self._ends.items():
            _reset(ends)
            task.cancel()

    def delay(self, seconds: float) -> None:
        """Hold each chunk so long, each way; in order, and without slowing what follows further."""
        self._delay_seconds = seconds

    def black_hole(self, on: bool) -> None:  # noqa: FBT001 - as a switch reads
        """While on, nothing arrives: connections stay, new ones are accepted and silent."""
        if on:
            self._passable.clear()
        else:
            self._passable.set()

    def heal(self) -> None:
        """Pass everything on at once again; what was held arrives."""
        self.delay(0)
        self.black_hole(on=False)

    async def close(self) -> None:
        """Reset every connection, and listen no more."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._ends, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        ends = self._ends[task] = [writer]
        try:
            await self._passable.wait()
            target_reader, target = await asyncio.open_connection(HOST, self.target_port, limit=CHUNK_BYTES)
            ends.append(target)
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(self._pass(reader, target))
                both_ways.create_task(self._pass(target_reader, writer))
        except* OSError:  # one end is gone, or nobody listens there
            _reset(ends)
        except* asyncio.CancelledError:
            _reset(ends)
        finally:
            del self._ends[task]
            for end in ends:
                end.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One way, until its end was delivered."""
        held: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue(CHUNKS_HELD)
        async with asyncio.TaskGroup() as halves:
            halves.create_task(self._take(reader, held))
            halves.create_task(self._deliver(held, writer))

    async def _take(self, reader: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes | None]]) -> None:
        chunk: bytes | None = b"-"
        while chunk:
            try:
                chunk = await reader.read(CHUNK_BYTES)
            except OSError:
                chunk = None
            await held.put((_now() + self._delay_seconds, chunk))

    async def _deliver(self, held: asyncio.Queue[tuple[float, bytes | None]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, chunk = await held.get()
            if (left := due - _now()) > 0:
                await asyncio.sleep(left)
            await self._passable.wait()
            if chunk is None:
                raise ConnectionResetError
            if not chunk:
                writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _reset(ends: Iterable[asyncio.StreamWriter]) -> None:
    for end in ends:
        line = end.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it is closed already
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        end.transport.abort()
