"""What the core of a CP asks, and who answers: the store, the UP, or an AAA server."""

from typing import Protocol

from rprov.auth.radius_exchange import AccessRequest
from rprov.daemon.sessions import Sessions
from rprov.errors import Misuse
from rprov.model.identifiers import Eid, Guti, Supi
from rprov.model.records import ContextRecord, DeviceRecord, SubscriberRecord
from rprov.procedure import actions as act
from rprov.procedure.events import (
    AaaAnswered,
    AaaSilent,
    Answer,
    DeviceFound,
    GutiResolved,
    SubscriberFound,
    SubscriberUnknown,
)


class AaaServers(Protocol):
    """What the CP asks where it does not authenticate devices itself."""

    async def ask(self, request: AccessRequest) -> AaaAnswered | AaaSilent:
        """Give the answer of an AAA server, or say that there is none."""

    def tell(self, request: AccessRequest) -> None:
        """Ask, and let nobody wait for the answer."""


class CpStore(Protocol):
    """What the CP asks of its store."""

    async def device(self, eid: Eid) -> DeviceRecord:
        """The device with its order, if it has one."""

    async def reserve_vector(self, supi: Supi, resynchronise: int | None = None) -> SubscriberRecord | None:
        """The subscriber with a sequence number of its own."""

    async def save_context(self, record: ContextRecord) -> None:
        """Keep a context."""

    async def drop_context(self, guti: Guti) -> None:
        """Forget a context."""

    async def contexts(self) -> tuple[ContextRecord, ...]:
        """All contexts that are kept."""

    async def context_by_guti(self, guti: Guti) -> ContextRecord | None:
        """Whose temporary identity this is."""


async def answer(ask: act.Ask, store: CpStore, sessions: Sessions, aaa: AaaServers | None) -> Answer:
    """Answer one question."""
    match ask:
        case act.LookUpDevice(eid=eid):
            return DeviceFound(await store.device(eid))
        case act.ReserveVector(supi=supi, resynchronise=sqn_ms):
            record = await store.reserve_vector(supi, sqn_ms)
            return SubscriberUnknown() if record is None else SubscriberFound(record)
        case act.ResolveGuti(guti=guti):
            context = await store.context_by_guti(guti)
            return SubscriberUnknown() if context is None else GutiResolved(context.identity)
        case act.AskAaa(request=request) if aaa is not None:
            return await aaa.ask(request)
        case act.OpenTunnel():
            return sessions.open_session(ask)
        case _:
            raise Misuse(f"the CP cannot answer {type(ask).__name__}")
