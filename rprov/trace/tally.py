"""Counts user packets by link and direction, until somebody takes the counts as report items."""

from collections import defaultdict

from rprov.model.identifiers import UeRadioId
from rprov.model.report import MessageSeen
from rprov.trace.placing import user_packets

UPLINK = "uplink"


class PacketTally:
    """What went over the sockets of one node's user plane since the last `take`."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[int]] = defaultdict(list)

    def observe(self, link: str, direction: str, octets: int) -> None:
        """Take one packet."""
        self._seen[link, direction].append(octets)

    def take(
        self,
        at: float,
        role: str,
        ue_radio_id: UeRadioId,
        step: int,
        ends: tuple[str, str],
        links: tuple[str, ...] = ("radio",),
    ) -> list[MessageSeen]:
        """Give what was counted as one item for each link and direction; `ends` are the lower and the upper node."""
        seen, self._seen = self._seen, defaultdict(list)
        lower, upper = ends
        return [
            MessageSeen(
                at,
                role,
                ue_radio_id,
                step,
                lower if direction == UPLINK else upper,
                upper if direction == UPLINK else lower,
                link,
                user_packets(len(sizes)),
                sum(sizes),
                True,
            )
            for (link, direction), sizes in sorted(seen.items(), reverse=True)
            if link in links
        ]
