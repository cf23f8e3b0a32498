"""A mend of aiokafka: an error that a coordinator gives for the whole of an OffsetFetch is no answer.

aiokafka 0.14 looks at the errors of partitions only (KIP-88 added the other). A coordinator that is still loading
after a restart gives that error and no partition: aiokafka takes it for "nothing was committed", and reads every
partition again from its start. Here it becomes the error that it is, which aiokafka tries again.
"""

from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import NoError, NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

_send = GroupCoordinator._send_req  # noqa: SLF001 - aiokafka has no other place for it


async def _send_and_check(self: GroupCoordinator, request: Any) -> Any:
    response = await _send(self, request)
    if isinstance(request, OffsetFetchRequest):
        error = for_code(getattr(response, "error_code", 0))
        if error is NotCoordinatorForGroupError:
            self.coordinator_dead()
        if error is not NoError:
            raise error
    return response


def mend() -> None:
    """Let every consumer of this process check such answers; a second time changes nothing."""
    GroupCoordinator._send_req = _send_and_check  # noqa: SLF001
