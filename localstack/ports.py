"""Which TCP port of 127.0.0.1 a part listens on."""

import socket
from collections.abc import Callable, Collection

HOST = "127.0.0.1"
NEIGHBOURS = 100  # ports tried above the usual one: they lie below the range that outgoing connections draw from


def is_free(port: int) -> bool:
    """Nobody listens on `port` of 127.0.0.1, and a server could."""
    with socket.socket() as asked:
        asked.settimeout(1)
        if asked.connect_ex((HOST, port)) == 0:
            return False  # macOS lets a bind to 127.0.0.1 pass beside a listener on all addresses
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, port))
        except OSError:
            return False
    return True


def any_free() -> int:
    """A port that the system picks."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        port: int = bound.getsockname()[1]
        return port


def choose(
    kept: int | None, usual: int, *, besides: Collection[int] = (), free: Callable[[int], bool] = is_free
) -> int:
    """The kept port while it is free, else the usual one, else the first free one above it, else any.

    A port in `besides` is never chosen: another part of the same stack is about to listen there.
    """
    wanted = ([] if kept is None else [kept]) + list(range(usual, usual + 1 + NEIGHBOURS))
    for port in wanted:
        if port not in besides and port <= 65_535 and free(port):  # noqa: PLR2004 - the last TCP port
            return port
    while (picked := any_free()) in besides:
        pass
    return picked
