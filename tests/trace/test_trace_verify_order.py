"""The order of messages, and the table that says what must come before what, against the tables of the roles."""

import pytest

from rprov.procedure.cp import CP
from rprov.procedure.machine import Role
from rprov.procedure.ran import ACCESS, RAN
from rprov.procedure.ue import UE
from rprov.trace.verify.ledger import Ledger
from rprov.trace.verify.order import ANYBODY, BEFORE, N2, NAS, RECEIVERS, RRC, Said, check_order, protocol_of, takes
from rprov.wire import link, radio
from rprov.wire import messages as nas

HEARS: dict[str, tuple[Role, ...]] = {"UE": (UE, ACCESS), "RAN": (RAN,), "CP": (CP,)}
ENVELOPES = {link.N2SetupRequest, link.N2SetupResponse, link.N2SetupFailure}
"""Of the link, not of a UE."""
OF_THE_CELL = {radio.CellInfo, radio.RrcSetupRequest, radio.RrcSetup, radio.RrcReject}


def taken() -> set[type]:
    """Every message that a table of a role has."""
    found = {kind for role in (UE, CP, RAN, ACCESS) for _, kind in role.table}
    found |= {kind for role in (UE, CP, RAN, ACCESS) for kind in role.anywhere}
    return {kind for kind in found if kind.__module__ in (nas.__name__, link.__name__, radio.__name__)}


def senders(kind: type) -> set[str]:
    """Who says a message: whoever is not the one that takes it, on a link that both have."""
    upwards = protocol_of(kind), True
    downwards = protocol_of(kind), False
    lower, upper = {NAS: ("UE", "CP"), N2: ("RAN", "CP"), RRC: ("UE", "RAN")}[protocol_of(kind)]
    found = set()
    if takes(RECEIVERS[upwards], kind):
        found.add(lower)
    if takes(RECEIVERS[downwards], kind):
        found.add(upper)
    return found or {lower, upper}


def test_every_message_of_the_tables_has_its_line() -> None:
    assert taken() - OF_THE_CELL <= BEFORE.keys() | ENVELOPES
    assert BEFORE.keys() - ANYBODY <= taken()


@pytest.mark.parametrize("kind", BEFORE, ids=lambda kind: kind.__name__)
def test_one_node_knows_of_a_message_and_of_what_must_come_before(kind: type) -> None:
    """Whoever says or hears it has taken or said the other one: only then the order is one that a node keeps."""
    for wanted in BEFORE[kind]:
        for earlier in wanted:
            knows = [node for node in HEARS if _hears_or_says(node, kind) and _hears_or_says(node, earlier)]
            assert knows, f"{kind.__name__} after {earlier.__name__}"


def _hears_or_says(node: str, kind: type) -> bool:
    return node in senders(kind) or any(takes(role, kind) for role in HEARS[node])


def faults(*said: tuple[bool, type], recorded: frozenset[str] = frozenset({NAS, N2, RRC})) -> list[str]:
    ledger = Ledger()
    check_order(
        [Said(frame, protocol_of(kind), uplink, kind) for frame, (uplink, kind) in enumerate(said, 1)], recorded, ledger
    )
    return [f"{fault.frame}: {fault.what}" for fault in sorted(ledger.faults)]


ATTACH = [
    (True, nas.AttachRequest),
    (False, nas.AuthenticationRequest),
    (True, nas.AuthenticationResponse),
    (False, nas.SecurityModeCommand),
    (True, nas.SecurityModeComplete),
    (False, link.InitialContextSetupRequest),
    (False, radio.AsSecurityModeCommand),
    (True, radio.AsSecurityModeComplete),
    (True, link.InitialContextSetupResponse),
    (False, nas.AttachAccept),
    (True, nas.AttachComplete),
]


def test_an_attach_in_its_order() -> None:
    assert faults(*ATTACH) == []


@pytest.mark.parametrize("missing", range(len(ATTACH) - 1))
def test_whatever_is_missing_is_missed(missing: int) -> None:
    if ATTACH[missing][1] is nas.AttachRequest:
        assert faults(*ATTACH[1:])[0].endswith("AuthenticationRequest comes, and no AttachRequest was before it")
    else:
        assert faults(*ATTACH[:missing], *ATTACH[missing + 1 :])


@pytest.mark.parametrize("place", range(len(ATTACH) - 1))
def test_neighbours_do_not_change_places(place: int) -> None:
    swapped = [*ATTACH[:place], ATTACH[place + 1], ATTACH[place], *ATTACH[place + 2 :]]
    assert faults(*swapped)


def test_an_accept_before_the_security_mode_is_complete() -> None:
    early = [*ATTACH[:4], (False, nas.AttachAccept)]
    assert faults(*early, recorded=frozenset({NAS})) == [
        "5: AttachAccept comes, and no SecurityModeComplete was before it"
    ]


def test_links_that_were_not_recorded_are_not_missed() -> None:
    only_nas = [item for item in ATTACH if protocol_of(item[1]) is NAS]
    assert faults(*only_nas, recorded=frozenset({NAS})) == []
    assert faults(*only_nas)


def test_an_answer_comes_once_for_each_request() -> None:
    again = [*ATTACH[:3], (True, nas.AuthenticationResponse)]
    assert faults(*again) == ["4: AuthenticationResponse comes, and no AuthenticationRequest waits for it"]
    asked_twice = [*ATTACH[:2], (False, nas.AuthenticationRequest), ATTACH[2], ATTACH[2]]
    assert faults(*asked_twice) == []


def test_nothing_comes_after_the_end() -> None:
    ended = [*ATTACH, (True, nas.DetachRequest), (False, nas.DetachAccept)]
    assert faults(*ended) == []
    assert faults(*ended, (True, nas.DetachRequest), (False, nas.DetachAccept)) == []  # it was not heard
    assert faults(*ended, (True, nas.PduSessionRequest)) == [
        "14: PduSessionRequest comes after DetachAccept, which was the end"
    ]


def test_a_message_that_goes_the_wrong_way() -> None:
    assert faults((False, nas.AttachRequest)) == ["1: AttachRequest goes to a node that never takes it"]


def test_a_connection_that_is_released_says_nothing_more() -> None:
    released = [*ATTACH, (False, link.UeContextReleaseCommand), (False, nas.ConfigurationUpdateCommand)]
    assert faults(*released)[-1].endswith("comes after the CP has released the UE")
