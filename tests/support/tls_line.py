"""A line to Postgres that takes TLS alone: the local stack's Postgres is built without."""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator

from localstack.ports import HOST
from tests.support.certificates import Certificate

ASKS_FOR_TLS = struct.pack(">ii", 8, 80877103)  # SSLRequest of Postgres' protocol


@contextlib.asynccontextmanager
async def tls_line(to: int, certificate: Certificate) -> AsyncIterator[int]:
    """The port of 127.0.0.1 at which a server with this certificate hands on to port `to`; it drops who asks for none.

    It runs in the loop: commands that go by it are to be awaited.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.certificate, certificate.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            if await reader.readexactly(len(ASKS_FOR_TLS)) != ASKS_FOR_TLS:
                return
            writer.write(b"S")
            await writer.start_tls(context)
            server_reader, server_writer = await asyncio.open_connection(HOST, to)
            with contextlib.closing(server_writer):
                await asyncio.wait(
                    [
                        asyncio.create_task(_pump(reader, server_writer)),
                        asyncio.create_task(_pump(server_reader, writer)),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while received := await reader.read(1 << 16):
            writer.write(received)
            await writer.drain()
