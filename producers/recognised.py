"""What a file looks like that is not what was expected."""


def recognised(beginning: bytes) -> str | None:
    """What a file that begins so looks like, and what reads it; None when that is not known."""
    return "it is compressed by gzip: unpack it first" if beginning.startswith(b"\x1f\x8b") else None
