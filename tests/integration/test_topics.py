"""`siltstone topics apply` on a real broker."""

import json

from tests.support.installation import Installation


async def test_topics_are_made_once_and_drift_is_told(installation: Installation) -> None:
    """The first run makes them, the second finds them; another number of partitions is said, and left."""
    first = installation.run("topics", "apply", "--partitions", "2", "-o", "json")
    again = installation.run("topics", "apply", "--partitions", "3", "-o", "json")
    assert (first.returncode, again.returncode) == (0, 0)
    assert [(t["state"], t["partitions"], t["drift"]) for t in json.loads(first.stdout)] == [("created", 2, "")] * 6
    drifted = [(t["state"], t["partitions"], t["drift"]) for t in json.loads(again.stdout)]
    assert drifted == [("present", 2, "partitions: 2, wanted 3")] * 6
    assert again.stderr == "some topics differ from what is wanted; they were left as they are\n"


async def test_a_topic_that_the_broker_does_not_make_is_named_with_its_reason(installation: Installation) -> None:
    """Exit 4, a line for each, in the broker's words; the client raises nothing by itself."""
    installation.environment["SILTSTONE_TOPIC_PREFIX"] = "bad prefix."
    said = installation.run("topics", "apply")
    assert (said.returncode, said.stdout) == (4, "")
    first, *others = said.stderr.splitlines()
    assert first == "Kafka does not make these topics:"
    assert [line.partition(": ")[0] for line in others] == [
        f"{dlq}bad prefix.siltstone.{family}"
        for dlq in ("", "dlq.")
        for family in ("extraction", "execution", "exception")
    ]
    assert all("Topic name is invalid" in line for line in others)
