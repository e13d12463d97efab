"""How the links of a daemon look from outside. Knows no socket and no message."""

import time

from rprov.model.control import LinkView
from rprov.transport.link import Link


def view_of(kind: str, name: str, link: Link) -> LinkView:
    """Look at one link."""
    seen = link.statistics
    return LinkView(
        kind=kind,
        name=name,
        local=" ".join(map(str, link.local_addresses)),
        peer=" ".join(map(str, link.peer_addresses)),
        carrier=link.carrier,
        protected_for=" ".join(link.peer_names or ()),
        streams=link.streams,
        sent=seen.frames_sent,
        sent_octets=seen.octets_sent,
        received=seen.frames_received,
        received_octets=seen.octets_received,
        age=round(time.monotonic() - seen.opened, 3),
    )
