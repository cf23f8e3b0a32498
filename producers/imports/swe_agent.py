"""Recorded runs of SWE-agent and mini-swe-agent, as producers/swe_agent.py reads them."""

from producers import swe_agent
from producers.imports.imported import Imported, Origin, Unreadable, of_whole


def events(content: bytes, name: str, origin: Origin) -> Imported:
    """The session and the run of one file. Raises Unreadable."""
    try:
        made, words = swe_agent.accounted(
            content, name=name, tenant=origin.tenant, source=origin.source, start=origin.start
        )
    except swe_agent.UnreadableTrajectory as error:
        raise Unreadable(str(error)) from None
    return Imported(made, words)


read = of_whole(events, "swe-agent")
