"""Step 5: provision. Over the session, eUICC and provisioning server authenticate each other and a profile is loaded.

    UE (LPA, eUICC) ── HTTPS over the PDU session, ES9+ ──> SM-DP+          (`provision/`, run by the shell)
    UE: ProfileDownloaded{iccid} ── step 6 ──

The CP has no part in it but the restriction that step 4 put into the UP. Refuses to know SGP.22 or any other protocol.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from rprov.causes import Cause
from rprov.model.identifiers import Guti, Plmn
from rprov.procedure import endings, s6_detach, s7_reattach
from rprov.procedure.actions import Conclude, Download, EndStep, Prove, Send, StartTimer, StopTimer
from rprov.procedure.engines import UeEnv
from rprov.procedure.events import DownloadFailed, ProfileDownloaded, Timer, TimerFired
from rprov.procedure.machine import Move, Table, stay
from rprov.procedure.phases import Phase, UeState
from rprov.procedure.purpose import Intent, Purpose, Step
from rprov.wire.messages import AttachAccept, AttachComplete, PduSessionAccept


@dataclass(frozen=True, slots=True)
class Online(UeState):
    """Attached with a session, as an ordinary subscriber: where an ordinary attach ends."""

    intent: Intent
    plmn: Plmn
    guti: Guti
    session: PduSessionAccept
    natural: ClassVar[Step] = Step.SESSION
    phase: ClassVar[Phase] = Phase.SECURED


@dataclass(frozen=True, slots=True)
class AwaitDownload(UeState):
    """The LPA is at work over the session."""

    intent: Intent
    plmn: Plmn
    guti: Guti
    session: PduSessionAccept
    natural: ClassVar[Step] = Step.PROVISION
    phase: ClassVar[Phase] = Phase.SECURED


def begin_ue(online: Online, env: UeEnv) -> Move:
    """Download where the purpose says so; else this is the end of the road."""
    if online.intent.purpose is Purpose.ORDINARY:
        done = Prove(online.step, "an ordinary subscriber with an ordinary session")
        # "the attach attempt counter shall be reset" (TS 24.501 5.5.1.2.4): what ends this later counts from one.
        online = replace(online, intent=replace(online.intent, attempt=1))
        return Move(online, (done, EndStep(online.step), Conclude(True, Cause.NORMAL)))
    following = AwaitDownload(online.intent, online.plmn, online.guti, online.session)
    timer = StartTimer(Timer.DOWNLOAD, env.policy.timers.download)
    return Move(following, (timer, Download(online.session.provisioning_servers)))


def on_profile_downloaded(state: AwaitDownload, event: ProfileDownloaded, env: UeEnv) -> Move:
    """Leave, to come back as somebody."""
    move = s6_detach.begin_ue(s6_detach.Reattach(state.intent, event.iccid), env)
    return Move(move.state, (StopTimer(Timer.DOWNLOAD), _installed(event), EndStep(Step.PROVISION), *move.actions))


def on_profile_downloaded_late(state: endings.AwaitRetry, event: ProfileDownloaded, env: UeEnv) -> Move:
    """Come back as somebody: the connection ended at the last word, and an order that is fulfilled lets nobody in.

    A server that has not been told holds the order open: then the next try brings it the result.
    """
    if not event.notified:
        return stay(state)
    move = s7_reattach.begin_ue(state.intent, event.iccid)
    return Move(move.state, (StopTimer(Timer.T3511), _installed(event), EndStep(Step.PROVISION), *move.actions))


def _installed(event: ProfileDownloaded) -> Prove:
    told = "the server holds the eUICC's signed result" if event.notified else "the server is still to be told"
    return Prove(Step.PROVISION, f"profile {event.iccid} is installed, and {told}")


def on_download_failed(state: AwaitDownload, event: DownloadFailed, env: UeEnv) -> Move:
    """Detach, then say why."""
    move = s6_detach.begin_ue(s6_detach.GiveUp(state.intent, event.cause, event.detail, state.step), env)
    return Move(move.state, (StopTimer(Timer.DOWNLOAD), *move.actions))


def on_download_timeout(state: AwaitDownload, event: TimerFired, env: UeEnv) -> Move:
    """The server is silent."""
    if event.timer is not Timer.DOWNLOAD:
        return stay(state)
    detail = "the provisioning server did not answer in time"
    return s6_detach.begin_ue(s6_detach.GiveUp(state.intent, Cause.PROVISIONING_FAILED, detail, state.step), env)


def on_repeated_accept(state: AwaitDownload, _event: object, _env: UeEnv) -> Move:
    """Complete again: the first AttachComplete was lost."""
    return stay(state, Send(AttachComplete()))


UE: Table = {
    (AwaitDownload, ProfileDownloaded): on_profile_downloaded,
    (AwaitDownload, DownloadFailed): on_download_failed,
    (AwaitDownload, TimerFired): on_download_timeout,
    (AwaitDownload, AttachAccept): on_repeated_accept,
    (endings.AwaitRetry, ProfileDownloaded): on_profile_downloaded_late,
}
