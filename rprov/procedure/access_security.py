"""AS security mode, part of step 3: UE and RAN take the keys under K_gNB into use (TS 33.501 6.7.4).

RAN ── AsSecurityModeCommand{nea, nia} ──> UE        integrity with the new keys, not ciphered
RAN <── AsSecurityModeComplete ── UE                 integrity, not ciphered; everything after it is ciphered
"""

from dataclasses import dataclass

from rprov.causes import Cause
from rprov.crypto.hierarchy import KGnb
from rprov.model.security import Algorithms, Nea, Nia, Scope
from rprov.procedure.actions import (
    CipherSrb,
    RestoreSrb,
    SecureSrb,
    SendN2,
    SendRrc,
    StartTimer,
    StopTimer,
    TakeIntoUse,
)
from rprov.procedure.engines import RanEnv, UeEnv
from rprov.procedure.events import AsSecurityVerified, KgnbGiven, Received, Timer, TimerFired
from rprov.procedure.machine import Move, Table, stay
from rprov.procedure.radio_connection import AsKeys, Connected, RanConnected, RanSecured, RanState, Secured
from rprov.security.pdcp import PdcpKeys
from rprov.wire.link import InitialContextSetupFailure, InitialContextSetupRequest, InitialContextSetupResponse
from rprov.wire.radio import AsSecurityModeCommand, AsSecurityModeComplete, AsSecurityModeFailure

MAX_KEYS = 5
"""A SecurityModeCommand is sent five times at most, so a UE completes five times, each with another COUNT."""


# --- UE access layer --------------------------------------------------------------------------------------------------


def on_kgnb_given(state: Connected, event: KgnbGiven, env: UeEnv) -> Move:
    """Keep the key. If the Complete was repeated, the CP may have used either COUNT: the command's MAC tells."""
    return Move(Connected(state.cell, state.ue_radio_id, (*state.keys, event)[-MAX_KEYS:]))


def on_kgnb_late(state: Secured, event: KgnbGiven, env: UeEnv) -> Move:
    """Ignore a key of a repeated Complete: AS security runs already."""
    return stay(state)


def on_verified(state: Connected, event: AsSecurityVerified, env: UeEnv) -> Move:
    """Take the keys into use, for algorithms that we have offered."""
    command = event.message
    capability = env.policy.capability
    # A provisioning attach ciphers on the radio, too, whatever the RAN would rather do (design rule 3).
    bare = command.nea is Nea.NEA0 and event.scope is Scope.PROVISIONING
    usable = command.nia is not Nia.NIA0 and capability.supports_nia(command.nia) and not bare
    if not usable or not capability.supports_nea(command.nea):
        return stay(state, SendRrc(AsSecurityModeFailure(Cause.SECURITY_MODE_REJECTED)))
    algorithms = Algorithms(command.nea, command.nia)
    secured = Secured(state.cell, state.ue_radio_id, AsKeys(event.k_gnb, algorithms))
    return Move(
        secured,
        (
            TakeIntoUse(),
            CipherSrb(receiving=True),
            SendRrc(AsSecurityModeComplete()),
            CipherSrb(sending=True),
        ),
    )


def on_unverified(state: Connected, event: Received[AsSecurityModeCommand], env: UeEnv) -> Move:
    """Refuse, unprotected; the old configuration stays (TS 33.501 6.7.4)."""
    return stay(state, SendRrc(AsSecurityModeFailure(Cause.MAC_FAILURE)))


UE: Table = {
    (Connected, KgnbGiven): on_kgnb_given,
    (Connected, AsSecurityVerified): on_verified,
    (Connected, AsSecurityModeCommand): on_unverified,
    (Secured, KgnbGiven): on_kgnb_late,
}

# --- RAN --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AwaitAsSecurity(RanState):
    """The command is out."""

    keys: AsKeys


def on_context_setup(state: RanConnected, event: Received[InitialContextSetupRequest], env: RanEnv) -> Move:
    """Choose by our list among what the CP says the UE can do (TS 33.501 6.7.3.0)."""
    capability = event.message.capability
    nea = next((item for item in env.policy.nea if capability.supports_nea(item)), None)
    nia = next((item for item in env.policy.nia if capability.supports_nia(item) and item is not Nia.NIA0), None)
    if nea is None or nia is None:
        return stay(state, SendN2(InitialContextSetupFailure(Cause.SECURITY_CAPABILITIES_MISMATCH)))
    algorithms = Algorithms(nea, nia)
    key = KGnb(event.message.k_gnb.octets)
    return Move(
        AwaitAsSecurity(AsKeys(key, algorithms)),
        (
            SecureSrb(PdcpKeys.of_srb(key, algorithms)),
            SendRrc(AsSecurityModeCommand(nea, nia)),
            CipherSrb(sending=True),
            StartTimer(Timer.AS_SECURITY, env.policy.timers.as_security),
        ),
    )


def on_complete(state: AwaitAsSecurity, event: Received[AsSecurityModeComplete], env: RanEnv) -> Move:
    """The UE holds the same keys: its MAC proves it."""
    return Move(
        RanSecured(state.keys),
        (StopTimer(Timer.AS_SECURITY), CipherSrb(receiving=True), SendN2(InitialContextSetupResponse())),
    )


def on_failure(state: AwaitAsSecurity, event: Received[AsSecurityModeFailure], env: RanEnv) -> Move:
    """The UE does not take the keys: what it is told from here on, it must still be able to read."""
    failure = SendN2(InitialContextSetupFailure(event.message.cause))
    return Move(RanConnected(), (StopTimer(Timer.AS_SECURITY), RestoreSrb(), failure))


def on_silence(state: AwaitAsSecurity, event: TimerFired, env: RanEnv) -> Move:
    """The UE does not answer."""
    return Move(RanConnected(), (SendN2(InitialContextSetupFailure(Cause.PEER_SILENT)),))


RAN: Table = {
    (RanConnected, InitialContextSetupRequest): on_context_setup,
    (AwaitAsSecurity, AsSecurityModeComplete): on_complete,
    (AwaitAsSecurity, AsSecurityModeFailure): on_failure,
    (AwaitAsSecurity, TimerFired): on_silence,
}
