"""A Kafka that speaks TLS and asks for a login or a certificate, on ports of its own."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localstack import kafka_settings, ports
from localstack.jars import jars
from localstack.kafka import Kafka, _cluster_id, _environment
from localstack.processes import run
from tests.support.certificates import Authority
from tests.support.free_ports import free_ports

USER = "siltstone-worker"
HOST = ports.HOST  # the name that the certificates have
OTHER_NAME = "localhost"  # the same machine by a name that they do not have

_LISTENERS = """
listeners=BROKER://{host}:{plain},CONTROLLER://{host}:{controller},LOGIN://{host}:{login},MUTUAL://{host}:{mutual}
advertised.listeners=BROKER://{host}:{plain},LOGIN://{advertised}:{login},MUTUAL://{host}:{mutual}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL,MUTUAL:SSL
ssl.keystore.type=PEM
ssl.keystore.location={both}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.mutual.ssl.client.auth=required
listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{user}="{password}";
listener.name.login.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


@dataclass(frozen=True)
class _Kafka(Kafka):
    """Java reads the last of two lines of one name: `more` goes over what the stack itself would write."""

    more: str

    def _write(self, name: str, text: str) -> str:
        return super()._write(name, text + self.more)


@dataclass(frozen=True)
class SecuredKafka:
    """Where it listens: `plain` for the tests' own clients, `login` by SASL_SSL, `mutual` by SSL with a certificate."""

    plain: str
    login: str
    mutual: str


@contextlib.contextmanager
def secured_kafka(
    folder: Path, authority: Authority, *, plain_password: str, scram_password: str
) -> Iterator[SecuredKafka]:
    """A broker whose certificate, by `authority`, is for 127.0.0.1 alone; a password of USER for each mechanism."""
    plain, controller, login, mutual = free_ports(4)
    more = _LISTENERS.format(
        host=HOST,
        advertised=HOST,
        plain=plain,
        controller=controller,
        login=login,
        mutual=mutual,
        both=authority.issue("broker", f"IP:{HOST}").both,
        ca=authority.certificate,
        user=USER,
        password=plain_password,
    )
    node = _Kafka(folder, more)
    folder.mkdir()
    classpath = jars(lambda _: None)
    written = kafka_settings.node(port=plain, controller_port=controller, data=node.data.name)
    settings = node._write("format.properties", written)
    scram = f"SCRAM-SHA-512=[name={USER},password={scram_password}]"
    # by file: everybody on the machine may read a command line
    (folder / "format.arguments").write_text(f"-t\n{_cluster_id()}\n-c\n{settings}\n--add-scram\n{scram}")
    done = run(
        node._java(classpath, "kafka.tools.StorageTool", "format", "@format.arguments"),
        cwd=folder,
        environment=_environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        assert node.ready(node.launch(classpath, plain, controller), plain), node.log.read_text()
        yield SecuredKafka(f"{HOST}:{plain}", f"{HOST}:{login}", f"{HOST}:{mutual}")
    finally:
        node.stop(by_kill=True)
