"""Who may speak unprotected: the tables as facts, so that a change of one is a decision and not an accident."""

from typing import get_args

import pytest

from rprov.security.context import Side
from rprov.security.policy import CELL_RRC, PLAIN_NAS, PLAIN_RRC, Phase, Receiver, plain_nas_allowed
from rprov.wire import messages as nas
from rprov.wire import radio

NAS = get_args(nas.NasMessage)
RRC = get_args(radio.RadioMessage)

# TS 24.501 4.4.4.2 (UE) and 4.4.4.3 (AMF), before the exchange of NAS messages is secure; less where we need less:
# the UE takes no unprotected DeregistrationAccept, for it never detaches without keys in a way that asks for an answer.
BEFORE = {
    Side.UE: {
        "IdentityRequest",
        "AuthenticationRequest",
        "AuthenticationResult",
        "AuthenticationReject",
        "AttachReject",
    },
    Side.CP: {
        *("AttachRequest", "IdentityResponse", "AuthenticationResponse", "AuthenticationFailure"),
        *("SecurityModeReject", "DetachRequest"),
    },
}
COMMITTED = {Side.UE: {"AuthenticationRequest"}, Side.CP: {"SecurityModeReject"}}


def allowed(side, phase):
    return {kind.__name__ for kind in NAS if plain_nas_allowed(side, phase, kind)}


def test_every_side_and_phase_is_decided():
    assert set(PLAIN_NAS) == {(side, phase) for side in Side for phase in Phase}
    assert set(PLAIN_RRC) == {(receiver, secured) for receiver in Receiver for secured in (False, True)}
    assert set(CELL_RRC) == set(Receiver)


@pytest.mark.parametrize("side", Side)
def test_before_there_is_a_context(side):
    assert allowed(side, Phase.NO_CONTEXT) == BEFORE[side]


@pytest.mark.parametrize("side", Side)
def test_after_the_network_has_committed_itself(side):
    """Nothing that installs or destroys keys at the UE; at the CP, that the UE refuses the command."""
    assert allowed(side, Phase.COMMITTED) == COMMITTED[side]


@pytest.mark.parametrize("side", Side)
def test_with_a_context_nobody_speaks_unprotected(side):
    assert allowed(side, Phase.SECURED) == set()


def test_nothing_that_gives_or_takes_is_ever_unprotected_at_the_ue():
    never = {
        *("SecurityModeCommand", "AttachAccept", "PduSessionAccept", "PduSessionReject", "PduSessionReleaseCommand"),
        *("DetachRequest", "DetachAccept", "ConfigurationUpdateCommand", "Status"),
    }
    for phase in Phase:
        assert not never & allowed(Side.UE, phase)


def test_no_message_may_be_plain_for_a_receiver_that_never_gets_it():
    from_cp = {
        "IdentityRequest",
        "AuthenticationRequest",
        "AuthenticationResult",
        "AuthenticationReject",
        "AttachReject",
    }
    for phase in Phase:
        assert allowed(Side.UE, phase) <= from_cp
        assert not allowed(Side.CP, phase) & from_cp


def test_phases_only_narrow():
    for side in Side:
        assert allowed(side, Phase.SECURED) <= allowed(side, Phase.COMMITTED) <= allowed(side, Phase.NO_CONTEXT)


def test_rrc_on_a_bearer():
    names = {key: {kind.__name__ for kind in kinds} for key, kinds in PLAIN_RRC.items()}
    assert names == {
        (Receiver.UE, False): {"RrcRelease", "AsSecurityModeCommand"},
        (Receiver.UE, True): set(),
        (Receiver.RAN, False): set(),
        (Receiver.RAN, True): {"AsSecurityModeFailure"},
    }


def test_rrc_to_everyone_is_only_what_sets_a_connection_up():
    names = {key: {kind.__name__ for kind in kinds} for key, kinds in CELL_RRC.items()}
    assert names == {Receiver.UE: {"CellInfo", "RrcSetup", "RrcReject"}, Receiver.RAN: {"RrcSetupRequest"}}
    on_bearers = set().union(*PLAIN_RRC.values())
    assert not on_bearers & set().union(*CELL_RRC.values())
    assert on_bearers | set().union(*CELL_RRC.values()) < set(RRC)
