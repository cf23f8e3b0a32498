"""What is looked for in an agent's output, unless a file says otherwise."""

from workers.demo.events import folder as examples


def default_patterns() -> str:
    """The text of examples/patterns.yaml."""
    return (examples() / "patterns.yaml").read_text(encoding="utf-8")
