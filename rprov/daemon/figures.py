"""What can be read of each node at any time, for whoever watches it. Counts nothing itself."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Protocol

from rprov.daemon.udp import Traffic
from rprov.model.figures import Figure
from rprov.model.numbers import Metric


class UserPlane(Protocol):
    """What each user plane can be asked."""

    def traffic(self) -> Mapping[tuple[str, str], Traffic]:
        """Datagrams and octets by link and direction."""

    def dropped(self) -> Counter[str]:
        """Dropped packets by reason."""


def user_plane_figures(plane: UserPlane) -> Iterator[Figure]:
    """What went through a user plane, and what did not."""
    for way, traffic in plane.traffic().items():
        yield Figure(Metric.OCTETS, traffic.octets, way)
        yield Figure(Metric.PACKETS, traffic.packets, way)
    yield from drop_figures(plane.dropped())


def drop_figures(dropped: Counter[str]) -> Iterator[Figure]:
    """Dropped packets by reason."""
    for reason, count in dropped.items():
        yield Figure(Metric.PACKETS_DROPPED, count, (reason,))
