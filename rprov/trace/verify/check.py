"""The whole check: every UE of a capture, link by link, and what was proved.

gather -> N2, radio before keys -> NAS up to K_gNB -> radio under keys -> all of NAS -> user packets
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rprov.model.identifiers import Plmn
from rprov.security.pdcp import PdcpKeys
from rprov.trace.keylog import Keys
from rprov.trace.verify.align import Copy
from rprov.trace.verify.gather import Gathered, Seen, UeFrames, gather
from rprov.trace.verify.identity import Claims
from rprov.trace.verify.ledger import Ledger
from rprov.trace.verify.links import N2_HEADER, UeOnN2, announced, check_context, read_n2, tunnel_ends
from rprov.trace.verify.merge import Carried, Sources, check_eap, merge
from rprov.trace.verify.nas import NasStory
from rprov.trace.verify.srb import Srb
from rprov.trace.verify.user import Bearer, UserStory
from rprov.wire.link import SessionResourceSetupRequest, UeContextReleaseCommand
from rprov.wire.messages import PduSessionAccept
from rprov.wire.radio import RrcReconfiguration, RrcReconfigurationComplete, RrcRelease


@dataclass(slots=True)
class UeCheck:
    """One UE, checked."""

    frames: UeFrames
    n2: UeOnN2
    srb: Srb
    claims: Claims
    nas: NasStory
    user: UserStory
    carried: list[Carried] = field(default_factory=list)


@dataclass(slots=True)
class Checked:
    """A capture, checked."""

    ledger: Ledger
    gathered: Gathered
    ues: list[UeCheck] = field(default_factory=list)


def check(path: Path, keys: Keys, *, lossy: bool = False) -> Checked:
    """Check a capture with the keys of a key log, and those that stand in the capture itself.

    Raises `DecodeError` for files that are no capture or no key log, and `OSError`.
    """
    ledger = Ledger()
    gathered, capture = gather(path, ledger)
    keys.add(capture.key_lines)
    plmns = announced(gathered, ledger)
    checked = Checked(ledger, gathered)
    if not gathered.frames:
        ledger.fault(0, "there is nothing in this capture")
    for frames in gathered.ues.values():
        checked.ues.append(_ue(frames, keys, gathered.runs, plmns, ledger, lossy))
    _n3(checked)
    _conclude(checked)
    return checked


def _ue(
    frames: UeFrames, keys: Keys, runs: Sequence[str], plmns: Sequence[Plmn], ledger: Ledger, lossy: bool
) -> UeCheck:
    n2 = read_n2(frames, ledger)
    claims = Claims(keys, runs, frozenset({frames.ue, n2.cp_ue_id}), plmns)
    found = UeCheck(frames, n2, Srb(ledger), claims, NasStory(ledger, claims), UserStory(ledger, lossy))
    _one_after_the_other(found, ledger)
    check_eap(found.carried, [_whole(seen) for seen in frames.eap], ledger)
    check_context(n2, found.nas.k_gnbs, found.srb.k_gnb, ledger)
    _check_release(found, ledger)
    bearers = _bearers(found, ledger)
    for seen in frames.user:
        found.user.radio(seen, bearers)
    return found


def _one_after_the_other(found: UeCheck, ledger: Ledger) -> None:
    """Radio before there are keys, NAS with it, radio under the keys that NAS gives, and the rest of NAS."""
    eap = [_whole(seen) for seen in found.frames.eap]
    plain = [seen for seen in found.frames.radio if not any(seen.octets[-4:])]
    first_sealed = next((at for at, seen in enumerate(found.frames.radio) if any(seen.octets[-4:])), len(plain))
    for seen in found.frames.radio[:first_sealed]:
        found.srb.read(seen, ())
    sealed = found.frames.radio[first_sealed:]
    if sealed or not found.frames.radio:
        trial = NasStory(Ledger(), _fresh(found.claims))
        trial.follow(_merged(found, eap, Ledger(), whole=False))
        for seen in sealed:
            found.srb.read(seen, trial.k_gnbs)
    found.carried = _merged(found, eap, ledger, whole=True)
    found.nas.follow(found.carried)
    found.claims.open_tls()
    if found.claims.problem is not None:
        ledger.fault(*found.claims.problem)


def _fresh(claims: Claims) -> Claims:
    return Claims(claims.keys, claims.runs, claims.names, claims.plmns)


def _merged(found: UeCheck, eap: Sequence[Copy], ledger: Ledger, *, whole: bool) -> list[Carried]:
    sources = []
    for uplink in (True, False):
        radio = [copy for seen, copy in found.srb.nas if seen.uplink is uplink]
        n2 = [
            Copy(seen.frame, seen.head + N2_HEADER, seen.octets[N2_HEADER:])
            for seen in found.n2.nas
            if seen.uplink is uplink
        ]
        sources.append(Sources(uplink, radio, n2))
    return merge(sources, eap, ledger, whole=whole)


def _whole(seen: Seen) -> Copy:
    return Copy(seen.frame, seen.head, seen.octets)


def _check_release(found: UeCheck, ledger: Ledger) -> None:
    """What the CP commands is what the UE is told."""
    told = {rrc.message.cause for rrc in found.srb.rrc if isinstance(rrc.message, RrcRelease)}
    for control in found.n2.control:
        if isinstance(control.message, UeContextReleaseCommand) and told:
            seen, cause = control.seen, control.message.cause
            if cause not in told:
                ledger.fault(seen.frame, f"N2 releases the UE with {cause.name}, which the UE is not told")
            ledger.cover(seen.frame, seen.head + N2_HEADER, len(seen.octets) - N2_HEADER, "RRC release")


def _bearers(found: UeCheck, ledger: Ledger) -> list[Bearer]:
    """The bearers that the protected RRC messages have set up."""
    k_gnb, algorithms = found.srb.k_gnb, found.srb.algorithms
    additions = [
        (rrc.seen, rrc.message.add)
        for rrc in found.srb.rrc
        if isinstance(rrc.message, RrcReconfiguration) and rrc.message.add is not None
    ]
    ends = [rrc.message.ue for rrc in found.srb.rrc if isinstance(rrc.message, RrcReconfigurationComplete)]
    bearers = []
    for (seen, added), end in zip(additions, [*ends, *[None] * len(additions)], strict=False):
        if not (added.integrity and added.ciphering):
            ledger.fault(seen.frame, "a data bearer without both protections")
        if k_gnb is None or algorithms is None:
            continue
        prepared = PdcpKeys.of_drb(k_gnb, algorithms, integrity_on=True, ciphering_on=True)
        bearers.append(Bearer(added.bearer, prepared, added.ran, end))
    for control in found.n2.control:
        message = control.message
        if isinstance(message, SessionResourceSetupRequest) and not (
            message.integrity_required and message.confidentiality_required
        ):
            ledger.fault(control.seen.frame, "the CP asks for a data bearer without both protections")
    return bearers


def _n3(checked: Checked) -> None:
    ends = [(ue, *tunnel_ends(ue.n2)) for ue in checked.ues]
    strays = False
    for seen in checked.gathered.n3:
        taken = False
        for ue, up, down in ends:
            taken = taken or ue.user.n3(seen, [end for _, end in up], [end for _, end in down])
        if not taken and _is_gpdu(seen):
            strays = True
            checked.ledger.loose(seen.frame, "a user packet in a tunnel that N2 has not set up")
    for ue, up, down in ends:
        for uplink, told in ((True, up), (False, down)):
            for frame, _ in told if strays and not ue.user.tunnelled[uplink] else []:
                # Somebody uses a tunnel that was not set up, and nobody uses this one.
                checked.ledger.fault(frame, "the end of a tunnel that no user packet goes to")
            for frame, _ in told if ue.user.tunnelled[uplink] else []:
                checked.ledger.cover(frame, *_tunnel_place(ue, frame), "the user packets that go there")
        ue.user.compare()


def _tunnel_place(ue: UeCheck, frame: int) -> tuple[int, int]:
    """Where the control message stands that names the end of a tunnel: offset and length."""
    seen = next(control.seen for control in ue.n2.control if control.seen.frame == frame)
    return seen.head + N2_HEADER, len(seen.octets) - N2_HEADER


def _is_gpdu(seen: Seen) -> bool:
    return len(seen.octets) > 1 and seen.octets[1] == 0xFF


def _conclude(checked: Checked) -> None:
    ledger = checked.ledger
    for ue in checked.ues:
        name = f"UE {ue.frames.ue:08x}"
        _say_keys(ue, name, ledger)
        sessions = [item.message for item in ue.nas.read if isinstance(item.message, PduSessionAccept)]
        if ue.claims.provisioning and sessions:
            looked = sum(ue.user.restricted(session) for session in sessions[-1:])
            servers = {server.fqdn for server in sessions[-1].provisioning_servers}
            ledger.prove(
                f"{name}: {looked} records of user packets, all with {', '.join(sorted(servers))} or its resolver"
            )


def _say_keys(ue: UeCheck, name: str, ledger: Ledger) -> None:
    claims, root = ue.claims, ue.nas.root
    if root is None:
        ledger.prove(f"{name}: no keys were taken into use; {len(ue.nas.read)} NAS messages without protection")
        return
    who = f"EID {claims.eid}" if claims.eid is not None else f"SUPI {root.supi}"
    ledger.prove(f"{name}: is {who}; K_AMF comes of {root.source}, for {root.network}")
    ledger.prove(
        f"{name}: {ue.nas.macs} NAS MACs, {ue.srb.protected} RRC MACs, {ue.user.opened} user packets are right"
    )
    if ue.srb.k_gnb is not None:
        ledger.prove(f"{name}: UE and RAN use the K_gNB that UE and CP have derived")
