"""What one process writes down of its links: one capture and one key log, shared by the nodes in it."""

import logging
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from rprov import __version__
from rprov.model.tap import LinkName, Tap
from rprov.model.tracing import TraceSecrets, TraceSettings
from rprov.trace.capture_file import CaptureFile
from rprov.trace.keylog import KeyLog
from rprov.trace.pcapng_write import section
from rprov.trace.tap import CaptureTap, interfaces

_LOG = logging.getLogger("rprov.trace")

RUN = "rprov run "
"""How the comment of a capture begins; the run's 16 hexadecimal digits follow."""


class Tracing:
    """Gives each node its tap, and whoever makes keys a place to log them; both None where nobody asked."""

    def __init__(
        self,
        capture: CaptureFile | None = None,
        keys: KeyLog | None = None,
        embed: bool = False,
        links: Iterable[LinkName] = tuple(LinkName),
    ) -> None:
        self._capture = capture
        self._embed = embed
        self._links = frozenset(links)
        self.keys = keys
        """Where keys go."""

    def only(self, *links: LinkName) -> "Tracing":
        """Give the same for a node that leaves its other links to the node at their other end."""
        return Tracing(self._capture, self.keys, self._embed, links)

    def tap(self, *links: LinkName) -> Tap | None:
        """Give a tap for the links that a node has."""
        wanted = self._links & set(links)
        if self._capture is None or not wanted:
            return None
        return CaptureTap(self._capture, wanted, with_keys=self._embed)


NO_TRACING = Tracing()


@contextmanager
def tracing(settings: TraceSettings) -> Iterator[Tracing]:
    """Open what the settings ask for, and close it in order; raises `EnvironmentLacks`."""
    run = secrets.token_hex(8)
    embed = settings.secrets is TraceSecrets.EMBED
    keys = capture = None
    with ExitStack() as stack:
        if settings.keylog is not None or embed:
            keys = KeyLog(settings.keylog, run)
            stack.callback(keys.close)
        if settings.pcap is not None:
            header = section(f"rprov {__version__}", RUN + run) + interfaces()
            capture = CaptureFile(
                settings.pcap,
                header,
                max_size=settings.max_size,
                keep=settings.keep,
                embedded=keys if embed else None,
            )
            stack.callback(capture.close)
        if settings.keylog is not None:
            _LOG.warning("KEYS ARE WRITTEN to %s: whoever reads it can read and forge everything", settings.keylog)
        if embed:
            _LOG.warning("KEYS ARE WRITTEN INTO THE CAPTURE %s: whoever has it can read everything", settings.pcap)
        yield Tracing(capture, keys, embed)
