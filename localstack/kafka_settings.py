"""Kafka's properties: one node that is broker and controller, or that controller alone."""

from typing import NamedTuple

from localstack.ports import HOST

MAX_BYTES = 32 * 1024 * 1024  # a message: dead-letter topics take that much

_CONTROLLER = """\
process.roles=controller
listeners=CONTROLLER://{host}:{controller_port}
broker.session.timeout.ms=200
"""

_NODE = """\
process.roles=broker,controller
listeners=BROKER://{host}:{port},CONTROLLER://{host}:{controller_port}{listened}
advertised.listeners=BROKER://{host}:{port}{advertised}
inter.broker.listener.name=BROKER
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
message.max.bytes={max_bytes}
replica.fetch.max.bytes={max_bytes}
log.cleaner.dedupe.buffer.size=4194304
"""

# log.dirs is relative to the process's folder: Kafka splits it at commas, and a folder's name may hold one.
_BOTH = """\
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT{secured}
controller.listener.names=CONTROLLER
log.dirs={data}
"""


class Via(NamedTuple):
    """A second listener on `port`, whose clients are told to come to `advertised`: a proxy listens there."""

    port: int
    advertised: int


def node(*, port: int, controller_port: int, data: str, via: Via | None = None) -> str:
    return (_NODE + _BOTH).format(
        host=HOST,
        port=port,
        controller_port=controller_port,
        listened=f",VIA://{HOST}:{via.port}" if via else "",
        advertised=f",VIA://{HOST}:{via.advertised}" if via else "",
        secured=",VIA:PLAINTEXT" if via else "",
        data=data,
        max_bytes=MAX_BYTES,
    )


def controller(*, controller_port: int, data: str) -> str:
    """Of the same node without its broker, whose last session it ends at once."""
    return (_CONTROLLER + _BOTH).format(host=HOST, controller_port=controller_port, data=data, secured="")
