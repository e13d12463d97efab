"""Links on which nobody is yet, or any more: bounded for each address and in total, and in time. Knows no message."""

import asyncio

from rprov.daemon.strangers import Strangers
from rprov.transport.link import Link


class SilentLinks:
    """Of too many, the oldest is aborted; so is one that stays silent for `seconds`, where there is such a bound."""

    def __init__(self, per_address: int, total: int, seconds: float | None = None) -> None:
        self._links: Strangers[Link] = Strangers(per_address, total)
        self._seconds = seconds
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._links)

    def watch(self, link: Link) -> None:
        """Begin to count a link as silent; one that counts already goes on to."""
        if id(link) in self._links:
            return
        one_too_many = self._links.add(id(link), link, link.peer.host, None)
        if one_too_many is not None:
            self.release(one_too_many)
            one_too_many.abort()
        if self._seconds is not None:
            self._timers[id(link)] = asyncio.get_running_loop().call_later(self._seconds, link.abort)

    def release(self, link: Link) -> None:
        """Count it no more: somebody speaks on it, or it has ended."""
        self._links.remove(id(link))
        timer = self._timers.pop(id(link), None)
        if timer is not None:
            timer.cancel()
