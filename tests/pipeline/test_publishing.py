"""The examples of docs/publishing.md that need nothing but this project, against a real Kafka."""

import asyncio
import json
import os
import sys

from tests.support.installation import Installation
from tests.support.snippets import snippets


async def test_the_python_example_sends_what_publish_sends(installation: Installation) -> None:
    """Run as they are on the page, but for the topic's prefix: one partition, key, header and event."""
    await installation.create_topics(partitions=4)
    topic = installation.topic("extraction")
    found = snippets()
    published = installation.run("publish", "-", stdin=found["event"].replace("\n", "").encode())
    assert published.returncode == 0, published.stderr
    program = found["Python"].replace("siltstone.extraction", topic)
    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), env=os.environ | installation.environment, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await ran.communicate()
    assert said.decode() == "partition 3, offset 1\n"
    ours, theirs = await installation.read_all(topic)
    assert (ours.partition, ours.key, json.loads(ours.value)) == (
        theirs.partition,
        theirs.key,
        json.loads(theirs.value),
    )
    assert ours.headers[0] == theirs.headers[0]
