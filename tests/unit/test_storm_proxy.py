"""The line that a storm breaks: what it does to bytes, ends and connections."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from localstack.ports import HOST, any_free
from tests.storm.proxy import Proxy
from tests.support.waiting import until

SHORT = 0.3  # seconds in which nothing may arrive

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Service:
    """Answers every byte with the same one, and keeps the connections it was given."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.got = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines.append((reader, writer))
        try:
            while chunk := await reader.read(65536):
                if len(self.got) < 1000:
                    self.got += chunk
                writer.write(chunk)
                await writer.drain()
        except OSError:
            self.got += b"RESET"
        finally:
            writer.close()


@pytest.fixture
async def service() -> AsyncIterator[tuple[Service, int]]:
    """An echo, and its port."""
    echo = Service()
    server = await asyncio.start_server(echo.serve, HOST)
    yield echo, server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxy(service: tuple[Service, int]) -> AsyncIterator[Proxy]:
    """A line to the echo."""
    opened = await Proxy.open(service[1])
    yield opened
    await opened.close()


async def line_to(proxy: Proxy) -> Line:
    return await asyncio.open_connection(HOST, proxy.port)


async def say(line: Line, text: bytes) -> None:
    line[1].write(text)
    await line[1].drain()


async def heard(line: Line, count: int, seconds: float = 5) -> bytes:
    return await asyncio.wait_for(line[0].readexactly(count), seconds)


async def comes_true(condition: Callable[[], bool]) -> None:
    async def now() -> bool:
        return condition()

    await until("the other end sees it", now, 5)


async def silent(waiting: Awaitable[bytes]) -> bool:
    try:
        await asyncio.wait_for(waiting, SHORT)
    except TimeoutError:
        return True
    return False


async def test_it_passes_bytes_and_their_end(proxy: Proxy, service: tuple[Service, int]) -> None:
    """What is sent arrives, both ways, and so does the end; then nothing of the connection is left."""
    line = await line_to(proxy)
    await say(line, b"abc")
    assert await heard(line, 3) == b"abc"
    line[1].write_eof()
    assert await line[0].read() == b""
    assert service[0].got == b"abc"
    await comes_true(lambda: proxy.connections == 0)


async def test_a_cut_resets_both_ends_and_new_ones_are_served(proxy: Proxy, service: tuple[Service, int]) -> None:
    """Both sides see a reset, not an end; the next connection works."""
    line = await line_to(proxy)
    await say(line, b"abc")
    await heard(line, 3)
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await heard(line, 1)
    await comes_true(lambda: service[0].got == b"abcRESET")
    again = await line_to(proxy)
    await say(again, b"x")
    assert await heard(again, 1) == b"x"
    assert proxy.connections == 1


async def test_a_delay_holds_each_way_but_not_what_follows(proxy: Proxy) -> None:
    """0.2 s each way make 0.4 s for an answer; twenty chunks sent one after another need no longer together."""
    line = await line_to(proxy)
    proxy.delay(0.2)
    began = time.monotonic()
    for number in range(20):
        await say(line, b"%02d" % number)
        await asyncio.sleep(0.005)
    assert await heard(line, 40) == b"".join(b"%02d" % number for number in range(20))
    assert 0.4 <= time.monotonic() - began < 1.2
    proxy.heal()
    began = time.monotonic()
    await say(line, b"x")
    await heard(line, 1)
    assert time.monotonic() - began < 0.2


async def test_a_black_hole_is_silent_and_keeps_what_it_got(proxy: Proxy, service: tuple[Service, int]) -> None:
    """Old connections and new ones stay, and say nothing; all of it arrives when the hole is gone."""
    old = await line_to(proxy)
    await say(old, b"a")
    await heard(old, 1)
    proxy.black_hole(on=True)
    new = await line_to(proxy)
    await say(old, b"b")
    await say(new, b"c")
    assert await silent(old[0].read(1))
    assert await silent(new[0].read(1))
    assert (service[0].got, len(service[0].lines)) == (b"a", 1)
    proxy.heal()
    assert (await heard(old, 1), await heard(new, 1)) == (b"b", b"c")


async def test_neither_an_end_nor_a_reset_leaves_a_black_hole(proxy: Proxy, service: tuple[Service, int]) -> None:
    """A client that gives up in the hole is gone for the service only afterwards, after its last bytes."""
    line = await line_to(proxy)
    await say(line, b"a")
    await heard(line, 1)
    proxy.black_hole(on=True)
    await say(line, b"b")
    line[1].transport.abort()
    await asyncio.sleep(SHORT)
    assert service[0].got == b"a"
    proxy.heal()
    await comes_true(lambda: service[0].got.startswith(b"ab"))
    await comes_true(lambda: proxy.connections == 0)


async def test_a_cut_in_a_black_hole_loses_what_it_held(proxy: Proxy, service: tuple[Service, int]) -> None:
    """What was swallowed never arrives."""
    line = await line_to(proxy)
    await say(line, b"a")
    await heard(line, 1)
    proxy.black_hole(on=True)
    await say(line, b"b")
    await asyncio.sleep(SHORT)
    proxy.cut()
    proxy.heal()
    await comes_true(lambda: service[0].got == b"aRESET")


async def test_nobody_behind_it_is_a_reset() -> None:
    """A service that is away resets the connection; the proxy lives on."""
    proxy = await Proxy.open(any_free())
    for _ in range(3):
        line = await line_to(proxy)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await heard(line, 1)
    await proxy.close()


async def test_memory_is_bounded_and_much_passes(proxy: Proxy) -> None:
    """200 MB pass both ways in order; behind a black hole a sender stops after a few megabytes."""
    line = await line_to(proxy)
    block = bytes(range(256)) * 4096  # 1 MiB

    async def send(count: int) -> None:
        for _ in range(count):
            await say(line, block)

    sending = asyncio.create_task(send(200))
    for _ in range(200):
        assert await heard(line, len(block), 30) == block
    await sending
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    proxy.black_hole(on=True)
    sending = asyncio.create_task(send(200))
    assert await asyncio.wait({sending}, timeout=1) == (set(), {sending})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024
    sending.cancel()
