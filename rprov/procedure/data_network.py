"""Which data network and slice a session is of, part of step 4. A UE may leave both to the network, which names them.

UE ── PduSessionRequest{dnn?, s_nssai?} ──> CP: its own for this kind of session, or a reject
UE: what it asked for <── PduSessionAccept{dnn, s_nssai} ── CP
"""

from rprov.causes import Cause
from rprov.errors import Refused
from rprov.model.identifiers import Dnn
from rprov.model.session import SessionKind
from rprov.procedure.engines import CpEnv, UeEnv
from rprov.wire.messages import PduSessionAccept, PduSessionRequest


def wanted(session_id: int, kind: SessionKind, env: UeEnv) -> PduSessionRequest:
    """What the UE asks for."""
    if kind is SessionKind.PROVISIONING:
        # It names neither: the network knows what the session is for (TS 23.501 5.30.2.10.4).
        return PduSessionRequest(session_id, kind)
    return PduSessionRequest(session_id, kind, env.policy.dnn, env.policy.s_nssai)


def is_as_asked(asked: PduSessionRequest, given: PduSessionAccept) -> bool:
    """Say whether a session is what a request wants."""
    same = (asked.session_id, asked.kind) == (given.session_id, given.kind)
    return same and asked.dnn in (None, given.dnn) and asked.s_nssai in (None, given.s_nssai)


def served(kind: SessionKind, env: CpEnv) -> Dnn:
    """The data network that sessions of a kind lead to."""
    return env.policy.provisioning_dnn if kind is SessionKind.PROVISIONING else env.policy.dnn


def check_served(request: PduSessionRequest, env: CpEnv) -> None:
    """Insist that a request names nothing else than the network has; raises `Refused` (TS 24.501 6.4.1.4.1)."""
    if request.dnn not in (None, served(request.kind, env)):
        raise Refused(Cause.MISSING_OR_UNKNOWN_DNN, str(request.dnn))
    if request.s_nssai not in (None, env.policy.s_nssai):
        raise Refused(Cause.UNKNOWN_DNN_IN_SLICE, str(request.s_nssai))
