"""The examples of docs/publishing.md run as they are on the page, but for the topic's prefix, on a real Kafka."""

import asyncio
import contextlib
import json
import random
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from aiokafka import ConsumerRecord
from aiokafka.partitioner import DefaultPartitioner

from contracts.registry import PARTITIONS
from tests.support.examples import run
from tests.support.faults import account
from tests.support.installation import Databases, Installation, drop_database
from tests.support.services import Services
from tests.support.snippets import snippets

pytestmark = pytest.mark.timeout(600)  # the first run on a machine fetches packages and compiles them

EXAMPLES = snippets()
EVENT = EXAMPLES.pop("event")
Record: TypeAlias = "ConsumerRecord[Any, Any]"

_drawn = random.Random(12)
KEYS = (
    *("/", " ", "acme", "acme/", "acme/" + 1000 * "x"),
    *("acme/" + "".join(_drawn.choices("aZ09-_.:/ é東🪨\"'\\%$", k=length)) for length in range(2, 97)),
)
SENDS = {
    "Java": r"var record.*offset\(\)\);",
    "Go": r"sent, err.*Offset\)",
    "TypeScript": r"const sent.*offsets\)",
}
"""The statements that send, in each program."""


class Page:
    """An installation that each example publishes to once."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._sent: dict[str, Record] = {}

    async def sent(self, example: str) -> Record:
        """The one record of an example; skips when the machine cannot run it."""
        if example not in self._sent:
            (self._sent[example],) = await self.sends(example, EXAMPLES[example], "extraction")
        return self._sent[example]

    async def sends(self, example: str, code: str, family: str) -> list[Record]:
        """The records that `code` adds to the topic of a family."""
        topic = self.installation.topic(family)
        before = {(r.partition, r.offset) for r in await self.installation.read_all(topic)}
        folder = Path(tempfile.mkdtemp(dir=self.installation.folder))
        (folder / "event.json").write_text(EVENT, encoding="utf-8")
        code = code.replace("siltstone.extraction", topic)
        await asyncio.to_thread(run, example, code, folder, self.installation.environment)
        return [r for r in await self.installation.read_all(topic) if (r.partition, r.offset) not in before]


@pytest.fixture(scope="module")
async def page(
    services: Services, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Page]:
    """The page's installation, with topics as `siltstone topics apply` makes them."""
    url = await databases.take()
    made = Installation(services, url, tmp_path_factory.mktemp("publishing"))
    await made.create_tenants("acme")
    await made.create_topics(PARTITIONS)
    yield Page(made)
    await made.close()
    await drop_database(services, url)


@pytest.mark.parametrize("example", EXAMPLES)
async def test_an_example_sends_the_pages_record(page: Page, example: str) -> None:
    """One record: the page's partition, key, content type and event."""
    record = await page.sent(example)
    assert (record.partition, record.key) == (7, b"acme/s-1")
    assert dict(record.headers)["content-type"] == b"application/cloudevents+json; charset=UTF-8"
    assert json.loads(record.value) == json.loads(EVENT)


async def test_a_worker_stores_what_they_all_sent_once(page: Page) -> None:
    """One row, and a duplicate for each example but one (G2)."""
    sent = 0
    for example in EXAMPLES:
        with contextlib.suppress(pytest.skip.Exception):
            await page.sent(example)
            sent += 1
    worker = await page.installation.worker("--family", "extraction").ready()
    await page.installation.settled("extraction")
    assert await worker.stop() == 0
    assert await page.installation.fetch("SELECT tenant_id, id, agent_name, events::int FROM session") == [
        {"tenant_id": "acme", "id": "s-1", "agent_name": "my-agent", "events": 1}
    ]
    assert await page.installation.value("SELECT count(*) FROM session_event") == 1
    assert await account(page.installation, "extraction") == {
        "stored": 1, "duplicate": sent - 1, "refused": 0, "invisible": 0
    }  # fmt: skip


@pytest.mark.parametrize("example", ["kcat", *SENDS])
async def test_an_examples_partitioner_is_ours(page: Page, example: str) -> None:
    """A hundred keys come to the partitions that aiokafka, by which Siltstone publishes, has for them."""
    sent = await page.sends(example, with_keys(example, EXAMPLES[example]), "execution")
    every = list(range(PARTITIONS))
    wanted = {key: DefaultPartitioner()(key.encode(), every, every) for key in KEYS}
    assert {record.key.decode(): record.partition for record in sent} == wanted
    assert len(sent) == len(KEYS) == 100


def with_keys(example: str, code: str) -> str:
    """The example's code, sending once under each of KEYS instead of under its own key."""
    if example == "kcat":
        lines = "".join(f"{key}\t{EVENT}".replace("\n", "") + "\n" for key in KEYS)
        _, _, command = code.rstrip().partition(" | ")
        return command.replace("-k acme/s-1", r"-K '\t'") + f" <<'END'\n{lines}END\n"
    (send,) = re.findall(SENDS[example], code, re.DOTALL)
    before, after = re.split("""["']acme/s-1["']""", send)
    blocks = (f"{{ {before}{json.dumps(key, ensure_ascii=False)}{after} }}" for key in KEYS)
    return code.replace(send, "\n".join(blocks))
