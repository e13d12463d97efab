"""What every wired node is: a daemon, what it stands on, and how its certificates are exchanged."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from rprov.crypto.tls_context import TlsCredentials
from rprov.model.figures import Figures
from rprov.model.trust import (
    CredentialFiles,
)
from rprov.store.pki import check_pair, load_chain, load_tls_key
from rprov.trace.tally import PacketTally


class Daemon(Protocol):
    """What every daemon can be asked."""

    async def close(self) -> None:
        """End everything."""


class Store(Protocol):
    """What can be asked of every store on a database."""

    def observe(self, observe: Callable[[str, float], None]) -> None:
        """Have each job told: read or write, and the seconds from question to answer."""


@dataclass(slots=True)
class Node:
    """A daemon with what it stands on. `reload` exchanges certificates without a restart."""

    daemon: Daemon
    reload: Callable[[], None]
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    tally: PacketTally = field(default_factory=PacketTally)
    figures: Figures = tuple
    """What there is to be read of it at any time."""
    stores: tuple[Store, ...] = ()
    """Whose jobs can be timed."""
    metrics_port: int | None = None
    """Where its metrics are served, if they are."""

    async def close(self) -> None:
        """End the daemon, then what it stands on."""
        await self.daemon.close()
        for closer in reversed(self.closers):
            await closer()


def issuer_of(certificate: x509.Certificate, anchors: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """Find who has signed a certificate, by its signature: two issuers may have the same name."""
    for anchor in anchors:
        try:
            certificate.verify_directly_issued_by(anchor)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return anchor
    return None


def credentials(files: CredentialFiles) -> TlsCredentials:
    """Read a certificate chain and its key, and insist that they belong together; raises `ConfigError`."""
    chain, key = load_chain(files.chain), load_tls_key(files.key)
    check_pair(chain, key, files.key)
    return TlsCredentials(chain, key)
