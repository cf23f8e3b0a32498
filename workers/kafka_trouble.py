"""Why a Kafka that answers does not take this process: found out after a failure, by connecting once more."""

import asyncio
import ssl
from typing import NamedTuple

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from workers import kafka
from workers.settings import Settings

LOOK_SECONDS = 10.0
WRONG_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


class Trouble(NamedTuple):
    """`what` also says what to do; it is final when no later try would do better."""

    what: str
    is_final: bool


async def trouble(settings: Settings) -> Trouble | None:
    """What the first broker that refuses us has against us; None when none answers, or all is well.

    Brokers that others name are asked too: their addresses are not always those of KAFKA_BOOTSTRAP_SERVERS.
    """
    arguments = kafka.connection(settings)
    places = [(host, port) for host, port, _ in collect_hosts(arguments.pop("bootstrap_servers"))]
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            for host, port in places:  # grows meanwhile
                try:
                    connection = await create_conn(host, port, **arguments)
                    try:
                        answer = await connection.send(MetadataRequest([]))
                    finally:
                        connection.close()
                except (KafkaError, OSError) as error:
                    if found := _judged(error, f"{host}:{port}", settings):
                        return found
                else:
                    places += [broker[1:3] for broker in answer.brokers if broker[1:3] not in places]
    except TimeoutError:
        pass
    return None


async def remedy(settings: Settings) -> str:
    """The end of a message that says that Kafka cannot be used: what to do."""
    found = await trouble(settings)
    return found.what if found else "is it running? siltstone stack up"


def _judged(error: Exception, place: str, settings: Settings) -> Trouble | None:
    is_final = True
    match error:
        case SaslAuthenticationFailed():
            what = f"{place} refuses the login: check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM"
        case UnsupportedSaslMechanismError():
            what = f"{place} does not offer {settings.kafka_sasl_mechanism}: mend KAFKA_SASL_MECHANISM"
        case IllegalSaslStateError():
            what = f"{place} takes no login: KAFKA_SECURITY_PROTOCOL must be PLAINTEXT or SSL there"
        case ssl.SSLCertVerificationError() if error.verify_code in WRONG_NAME:
            what = (
                f"the certificate of {place} is for another name: give the brokers in KAFKA_BOOTSTRAP_SERVERS, and in "
                "their advertised.listeners, by a name that it has"
            )
        case ssl.SSLCertVerificationError():
            what = (
                f"the certificate of {place} is not trusted ({error.verify_message}): KAFKA_SSL_CA_LOCATION must name "
                "a PEM file of the authority that signed it"
            )
        case KafkaConnectionError() if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
            what = (
                f"{place} refuses the certificate of this client, or asks for one: check "
                "KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION"
            )
        case KafkaConnectionError() | ConnectionResetError() | ssl.SSLError():
            is_final = False  # a broker that is stopping does so too
            what = (
                f"{place} closes the connection: it may want another KAFKA_SECURITY_PROTOCOL than "
                f"{settings.kafka_security_protocol}"
            )
        case _:
            return None
    return Trouble(what, is_final)
