"""The CP's endpoint for one UE: NAS of the UE and control messages of the RAN, both over N2."""

from collections.abc import Iterable
from dataclasses import dataclass

from rprov.errors import DecodeError
from rprov.model.identifiers import CpUeId, RanUeId, Teid
from rprov.model.report import Discarded
from rprov.procedure.actions import Action, CloseTunnel, Report, SendN2, Transmit
from rprov.procedure.cp import cp_machine
from rprov.procedure.endpoint import NasEndpoint, NasOut
from rprov.procedure.engines import CpEnv
from rprov.procedure.events import Answer, Event, Protection, Received, TunnelOpened
from rprov.procedure.phases import Held
from rprov.procedure.s1_attach import CpIdle, begin_idle
from rprov.security.context import Side
from rprov.wire.codec import LinkCodec, NasCodec
from rprov.wire.link import N2Frame, N2Kind


@dataclass(slots=True)
class CpEndpoint:
    """One UE in the CP."""

    nas: NasEndpoint
    link: LinkCodec
    ran_ue_id: RanUeId
    cp_ue_id: CpUeId

    @classmethod
    def create(cls, nas: NasCodec, link: LinkCodec, ran_ue_id: RanUeId, cp_ue_id: CpUeId) -> "CpEndpoint":
        """A UE that has said nothing yet."""
        return cls(NasEndpoint(Side.CP, cp_machine(), nas, f"{cp_ue_id:08x}"), link, ran_ue_id, cp_ue_id)

    @property
    def held_teid(self) -> Teid | None:
        """The tunnel that must be closed if this endpoint goes without having moved to an end."""
        held: Held | None = getattr(self.nas.machine.state, "held", None)
        return held.teid if held is not None else None

    def receive(self, frame: N2Frame, env: CpEnv) -> list[Action]:
        """Take one message of the RAN for this UE."""
        if frame.kind is N2Kind.INITIAL_NAS and isinstance(self.nas.machine.state, CpIdle):
            begun = self.nas.machine.enter(begin_idle(env))
            return self._perform([*begun, *self.nas.receive(frame.payload, env)])
        if frame.kind is not N2Kind.CONTROL:
            return self._perform(self.nas.receive(frame.payload, env))
        try:
            message = self.link.decode(frame.payload)
        except DecodeError as error:
            return [Report(Discarded(env.now, "cp", self.nas.ue, "n2", str(error)))]
        return self._perform(self.nas.step(Received(message, frame.payload, Protection.TRUSTED_LINK), env))

    def step(self, event: Event, env: CpEnv) -> list[Action]:
        """Take an event of the shell."""
        return self._perform(self.nas.step(event, env))

    def answer(self, ticket: int, answer: Answer, env: CpEnv) -> list[Action]:
        """Take an answer of the shell. A tunnel that nobody waits for any more is closed: only we know its TEID."""
        done = self._perform(self.nas.answer(ticket, answer, env))
        if isinstance(answer, TunnelOpened) and self.held_teid != answer.uplink.teid:
            done.append(CloseTunnel(answer.uplink.teid))
        return done

    def _perform(self, outputs: Iterable[Action | NasOut]) -> list[Action]:
        done: list[Action] = []
        for output in outputs:
            match output:
                case NasOut(pdu=pdu):
                    done.append(self._transmit(N2Kind.NAS, pdu))
                case SendN2(message=message):
                    done.append(self._transmit(N2Kind.CONTROL, self.link.encode(message)))
                case _:
                    done.append(output)
        return done

    def _transmit(self, kind: N2Kind, payload: bytes) -> Transmit:
        return Transmit(N2Frame(self.ran_ue_id, self.cp_ue_id, kind, payload).encode(), self.ran_ue_id, "n2")
