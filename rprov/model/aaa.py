"""The settings of an AAA server: who may ask it, over UDP or over TLS, and which devices it believes.

Field names are the keys of `aaa.yaml`; the key tree in `docs/registry.md` is drawn from here.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Annotated

from rprov.model.kinds import AtLeast, Files, Fqdn, Host, ListenPort, ReadPath, Seconds, Unfit, Within
from rprov.model.numbers import Port
from rprov.model.rates import AttemptRates
from rprov.model.sections import (
    LogSettings,
)
from rprov.model.tls import TlsChoices
from rprov.model.tracing import TraceSettings
from rprov.model.trust import (
    CredentialFiles,
    DeviceTrust,
)
from rprov.model.watch import MetricsListen

_LOOPBACK = IPv4Address("127.0.0.1")
_LOCALHOST = Host("127.0.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusListen:
    """Where requests arrive over UDP."""

    address: IPv4Address = _LOOPBACK
    """Address to listen at."""
    port: ListenPort = Port.RADIUS
    """UDP port; 0 takes a free one, which the ready line names."""
    insecure: bool = False
    """Whether RADIUS over UDP, whose MD5 guards the keys of devices badly, may leave this machine."""

    def __post_init__(self) -> None:
        if not (self.address.is_loopback or self.insecure):
            text = f"RADIUS over UDP at {self.address} would hide keys with MD5 only: use radsec, or say insecure: true"
            raise Unfit("insecure", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusClient:
    """Who may ask over UDP."""

    name: str
    """What the log calls it."""
    network: IPv4Network
    """Where its requests come from; where several fit, the smallest one counts."""
    secret: ReadPath
    """File with the shared secret, 16 to 128 octets, readable by its owner only; a line's end does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadsecListen:
    """RADIUS over TLS, RFC 6614: both sides prove themselves with certificates."""

    host: Host = _LOCALHOST
    """Address to listen at."""
    port: ListenPort = Port.RADSEC
    """TCP port; 0 takes a free one, which the ready line names."""
    certificate: CredentialFiles
    """What the server proves itself with towards its clients."""
    anchors: Files
    """PEM files, or directories of them, with the authorities that certify clients; never a GSMA CI."""
    crls: tuple[ReadPath, ...] = ()
    """PEM files, or directories of them, with CRLs of these; where there are any, a client needs a current one."""
    clients: Annotated[tuple[Fqdn, ...], AtLeast(1)]
    """dNSNames of the clients that may ask."""
    connections: Annotated[int, Within(1, 10_000)] = 100
    """TLS connections at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AaaLimits:
    """What clients can make the server hold; at a limit the oldest gives way."""

    exchanges: Annotated[int, Within(1, 1_000_000)] = 2000
    """Authentications under way; one holds about 60 KiB."""
    lifetime: Seconds = 30.0
    """Seconds that an authentication may take."""
    answers: Annotated[int, Within(1, 1_000_000)] = 4000
    """Answers kept for requests that come again."""
    answer_lifetime: Seconds = 10.0
    """Seconds that an answer is kept (RFC 5080 2.2.2: 5 to 30)."""
    attempts: AttemptRates = field(default_factory=AttemptRates)
    """How often devices may authenticate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AaaSettings:
    """An AAA server for EAP-TLS: RADIUS clients ask, and get the MSK and the EID of the device's certificate."""

    name: str = "aaa"
    """What the server is called in logs."""
    radius: RadiusListen = field(default_factory=RadiusListen)
    """Where it listens for the clients."""
    clients: tuple[RadiusClient, ...] = ()
    """Who may ask over UDP; without any, nothing listens there."""
    radsec: RadsecListen | None = None
    """RADIUS over TLS; absent: not offered."""
    certificate: CredentialFiles
    """The network's certificate in EAP-TLS."""
    staple: ReadPath | None = None
    """DER file with an OCSP response about `certificate`, for devices that ask; read again whenever it changes."""
    devices: DeviceTrust
    """What is believed about devices."""
    eap_tls: TlsChoices = field(default_factory=TlsChoices)
    """What EAP-TLS may negotiate."""
    fragment: Annotated[int, Within(100, 1400)] = 1400
    """Octets of the largest EAP packet that it sends; less where a client's Framed-MTU says so."""
    limits: AaaLimits = field(default_factory=AaaLimits)
    """Bounds."""
    log: LogSettings = field(default_factory=LogSettings)
    """What is written down."""
    trace: TraceSettings = field(default_factory=TraceSettings)
    """What is written down of the links: captures, and keys."""

    metrics: MetricsListen | None = None
    """Where Prometheus finds metrics; absent: nowhere."""
    audit: Path | None = None
    """File that takes who was let in, on what proof and why, chained by hashes; absent: nothing is taken down."""

    def __post_init__(self) -> None:
        if not self.clients and self.radsec is None:
            raise Unfit("clients", "nobody could ask: name clients, or give radsec")
        for what, seen in (
            ("name", [client.name for client in self.clients]),
            ("network", [str(client.network) for client in self.clients]),
        ):
            if len(set(seen)) != len(seen):
                raise Unfit("clients", f"two clients have the same {what}")
