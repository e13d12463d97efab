"""Configuration update: what the operator changes for a device that is attached, at any time between steps 3 and 6.

CP ── ConfigurationUpdateCommand{lifetime | guti} ──> UE ── ConfigurationUpdateComplete ──> CP
"""

from dataclasses import replace

from rprov.procedure import s4_session, s5_provision
from rprov.procedure.actions import Send, StartTimer
from rprov.procedure.engines import CpEnv, UeEnv
from rprov.procedure.events import LifetimeChanged, Received, Timer
from rprov.procedure.machine import Move, Table, stay
from rprov.wire.messages import ConfigurationUpdateCommand, ConfigurationUpdateComplete

# --- UE ---------------------------------------------------------------------------------------------------------------


def on_command(
    state: s4_session.AwaitSession | s5_provision.AwaitDownload | s5_provision.Online,
    event: Received[ConfigurationUpdateCommand],
    env: UeEnv,
) -> Move:
    """Use the new GUTI, if there is one, and say so. The lifetime is the network's to enforce."""
    guti = event.message.guti or state.guti
    return Move(replace(state, guti=guti), (Send(ConfigurationUpdateComplete()),))


UE: Table = {
    (s4_session.AwaitSession, ConfigurationUpdateCommand): on_command,
    (s5_provision.AwaitDownload, ConfigurationUpdateCommand): on_command,
    (s5_provision.Online, ConfigurationUpdateCommand): on_command,
}

# --- CP ---------------------------------------------------------------------------------------------------------------


def on_lifetime_changed(state: s4_session.AnyRegistered, event: LifetimeChanged, env: CpEnv) -> Move:
    """Let the scope end at another time, and tell the UE."""
    registration = replace(state.registration, expires_at=env.now + event.lifetime)
    command = ConfigurationUpdateCommand(lifetime=event.lifetime)
    moved = replace(state, registration=registration)
    return Move(moved, (StartTimer(Timer.LIFETIME, float(event.lifetime)), Send(command)))


def on_complete(state: s4_session.AnyRegistered, event: Received[ConfigurationUpdateComplete], env: CpEnv) -> Move:
    """The UE has taken it over."""
    return stay(state)


CP: Table = {
    **{(state, LifetimeChanged): on_lifetime_changed for state in s4_session.REGISTERED},
    **{(state, ConfigurationUpdateComplete): on_complete for state in s4_session.REGISTERED},
}
