"""Ports of a server that goes away and comes back during a test, on which nobody else sits meanwhile."""

import secrets

from localstack import ports

FIRST_PORTS = range(10_000, 30_000)  # above those of other stacks, below those of outgoing connections


def free_ports(count: int) -> list[int]:
    """So many, all different, and drawn: two tests that begin at once shall not meet."""
    found: list[int] = []
    while len(found) < count:
        found.append(ports.choose(None, secrets.choice(FIRST_PORTS), besides=found))
    return found
