"""The AAA servers that a CP asks in place of its own EAP server: where they are, and how they are spoken to.

Field names are the keys of the section `aaa` of `cp.yaml`; the key tree in `docs/registry.md` is drawn from here.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated

from rprov.model.kinds import AtLeast, Files, Fqdn, Host, PortNumber, ReadPath, Seconds, Unfit, Within
from rprov.model.numbers import Port
from rprov.model.trust import CredentialFiles


class EidAttribute(StrEnum):
    """Where in an Access-Accept the EID of the device's certificate may stand."""

    USER_NAME = "user_name"
    CHARGEABLE_USER_IDENTITY = "chargeable_user_identity"
    CLASS = "class"


@dataclass(frozen=True, slots=True, kw_only=True)
class RadsecPeer:
    """RADIUS over TLS, RFC 6614: both sides prove themselves with certificates."""

    certificate: CredentialFiles
    """What the CP proves itself with towards the server."""
    anchors: Files
    """PEM files, or directories of them, with the authorities that certify the server; never a GSMA CI."""
    server_name: Fqdn | None = None
    """dNSName that the server's certificate must carry; absent: the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AaaServerSettings:
    """One AAA server, over UDP with a shared secret or over TLS."""

    host: Host
    """Address or name."""
    port: PortNumber | None = None
    """Its port; absent: 1812 over UDP, 2083 over TLS."""
    secret: ReadPath | None = None
    """File with the shared secret, 16 to 128 octets, readable by its owner only (over UDP)."""
    radsec: RadsecPeer | None = None
    """RADIUS over TLS; absent: over UDP."""
    insecure: bool = False
    """Whether RADIUS over UDP, whose MD5 guards the keys of devices badly, may leave this machine."""

    def __post_init__(self) -> None:
        if (self.secret is None) == (self.radsec is None):
            raise Unfit("secret", "a server has either a secret (UDP) or radsec (TLS)")
        if self.radsec is None and not (_is_local(self.host) or self.insecure):
            text = f"RADIUS over UDP to {self.host} would hide keys with MD5 only: use radsec, or say insecure: true"
            raise Unfit("insecure", text)

    @property
    def at(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or (Port.RADIUS if self.radsec is None else Port.RADSEC)


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class AaaClientSettings:
    """With this section the CP passes EAP through to an AAA server, and has no certificate of its own in EAP-TLS."""

    servers: Annotated[tuple[AaaServerSettings, ...], AtLeast(1)]
    """AAA servers; the first that is alive is asked."""
    realm: Fqdn | None = None
    """Realm of the anonymous identity that the server is shown; absent: rsp.mnc<MNC>.mcc<MCC>.3gppnetwork.org."""
    eid_in: Annotated[tuple[EidAttribute, ...], AtLeast(1)] = (
        EidAttribute.CHARGEABLE_USER_IDENTITY,
        EidAttribute.USER_NAME,
    )
    """Attributes of an Access-Accept that are searched for the EID of the device's certificate."""
    eid_hints: bool = True
    """Whether a device may name only its issuer at first; its EID comes from the server then."""
    retransmit: Annotated[float, Within(0.05, 60)] = 1.0
    """Seconds until a request over UDP is sent again; twice as long after each time."""
    patience: Annotated[float, Within(0.1, 60)] = 4.0
    """Seconds after which a server that has answered nothing is taken for dead, and the next one is asked."""
    hold_down: Seconds = 30.0
    """Seconds that a dead server is left alone, but for a Status-Server now and then."""

    def __post_init__(self) -> None:
        if len({server.at for server in self.servers}) != len(self.servers):
            raise Unfit("servers", "the same server stands there twice")
        if self.retransmit > self.patience:
            raise Unfit("retransmit", "is longer than patience: nothing would be sent again")
