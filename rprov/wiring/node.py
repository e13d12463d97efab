"""What every wired node is: a daemon, what it stands on, and how its certificates are exchanged."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from rprov.crypto.tls import TlsCredentials
from rprov.model.sections import CredentialFiles
from rprov.store.pki import check_pair, load_chain, load_key
from rprov.trace.tally import PacketTally


class Daemon(Protocol):
    """What every daemon can be asked."""

    async def close(self) -> None:
        """End everything."""


@dataclass(slots=True)
class Node:
    """A daemon with what it stands on. `reload` exchanges certificates without a restart."""

    daemon: Daemon
    reload: Callable[[], None]
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    tally: PacketTally = field(default_factory=PacketTally)

    async def close(self) -> None:
        """End the daemon, then what it stands on."""
        await self.daemon.close()
        for closer in reversed(self.closers):
            await closer()


def credentials(files: CredentialFiles) -> TlsCredentials:
    """Read a certificate chain and its key, and insist that they belong together; raises `ConfigError`."""
    chain, key = load_chain(files.chain), load_key(files.key)
    check_pair(chain, key, files.key)
    return TlsCredentials(chain, key)
