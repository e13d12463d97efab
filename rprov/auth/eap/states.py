"""The states of EAP's two machines, by the names that RFC 4137 gives them in clauses 4.3 and 5.3. Knows no transition.

A machine rests in few of them and passes through the others while it takes one packet; `peer.EapPeer` and
`server.EapServer` say which it has passed through. What 4137 has and rprov does not is told in docs/conformance.md.
"""

from enum import StrEnum


class PeerState(StrEnum):
    """RFC 4137 4.3. Rests in DISABLED, IDLE, SUCCESS and FAILURE."""

    DISABLED = "DISABLED"
    INITIALIZE = "INITIALIZE"
    IDLE = "IDLE"
    RECEIVED = "RECEIVED"
    GET_METHOD = "GET_METHOD"
    METHOD = "METHOD"
    IDENTITY = "IDENTITY"
    NOTIFICATION = "NOTIFICATION"
    RETRANSMIT = "RETRANSMIT"
    DISCARD = "DISCARD"
    SEND_RESPONSE = "SEND_RESPONSE"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


class ServerState(StrEnum):
    """RFC 4137 5.3. Rests in DISABLED, IDLE, the three ends, and METHOD_RESPONSE while its owner decides."""

    DISABLED = "DISABLED"
    INITIALIZE = "INITIALIZE"
    PICK_UP_METHOD = "PICK_UP_METHOD"
    IDLE = "IDLE"
    RETRANSMIT = "RETRANSMIT"
    RECEIVED = "RECEIVED"
    DISCARD = "DISCARD"
    SEND_REQUEST = "SEND_REQUEST"
    INTEGRITY_CHECK = "INTEGRITY_CHECK"
    METHOD_REQUEST = "METHOD_REQUEST"
    METHOD_RESPONSE = "METHOD_RESPONSE"
    PROPOSE_METHOD = "PROPOSE_METHOD"
    SELECT_ACTION = "SELECT_ACTION"
    NAK = "NAK"
    TIMEOUT_FAILURE = "TIMEOUT_FAILURE"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


class MethodState(StrEnum):
    """What both machines know of their method (RFC 4137 4.1.2, 5.1.2: methodState).

    INIT is passed on the way to CONT, for every packet of the chosen type is given to the method; PROPOSED is the
    server's only, MAY_CONT the peer's.
    """

    NONE = "NONE"
    PROPOSED = "PROPOSED"
    CONT = "CONT"
    MAY_CONT = "MAY_CONT"
    DONE = "DONE"
