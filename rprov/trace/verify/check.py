"""The whole check: every UE of a capture, link by link, and what was proved.

gather -> N2, radio before keys -> NAS up to K_gNB -> radio under keys -> all of NAS -> user packets
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rprov.model.identifiers import Eid
from rprov.model.tap import LinkName
from rprov.security.pdcp import PdcpKeys
from rprov.trace.keylog import Keys
from rprov.trace.verify.align import Copy
from rprov.trace.verify.chains import NO_ANCHORS, Anchors
from rprov.trace.verify.conclude import UeCheck, conclude
from rprov.trace.verify.gather import Gathered, Seen, gather
from rprov.trace.verify.identity import Claims
from rprov.trace.verify.ledger import Ledger
from rprov.trace.verify.links import N2_HEADER, announced, check_context, read_n2, tunnel_ends
from rprov.trace.verify.merge import Carried, Sources, check_eap, merge
from rprov.trace.verify.nas import NasStory
from rprov.trace.verify.order import N2, NAS, RRC, Said, check_order
from rprov.trace.verify.release import check_release
from rprov.trace.verify.srb import Srb
from rprov.trace.verify.user import Bearer, UserStory
from rprov.wire.link import SessionResourceSetupRequest
from rprov.wire.messages import PduSessionAccept, PduSessionRequest
from rprov.wire.radio import RrcReconfiguration, RrcReconfigurationComplete


@dataclass(slots=True)
class Checked:
    """A capture, checked."""

    ledger: Ledger
    gathered: Gathered
    ues: list[UeCheck] = field(default_factory=list)


def check(path: Path, keys: Keys, *, anchors: Anchors = NO_ANCHORS, lossy: bool = False) -> Checked:
    """Check a capture with the keys of a key log, and those that stand in the capture itself.

    `lossy` allows for user packets that got lost or overtook each other; without `anchors` nobody says whose the
    certificates are. Raises `DecodeError` for files that are no capture or no key log, and `OSError`.
    """
    ledger = Ledger()
    gathered, capture = gather(path, ledger)
    keys.add(capture.key_lines)
    plmns = announced(gathered, ledger)
    checked = Checked(ledger, gathered)
    proved: list[Eid] = []
    for frames in gathered.ues.values():
        n2 = read_n2(frames, ledger)
        names = frozenset({frames.ue, n2.cp_ue_id})
        aaa = bool(gathered.unchecked[LinkName.AAA])
        claims = Claims(keys, gathered.runs, names, plmns, anchors, others=proved, elsewhere=aaa)
        found = UeCheck(frames, n2, Srb(ledger), claims, NasStory(ledger, claims), UserStory(ledger, lossy))
        checked.ues.append(_ue(found, ledger))
        if claims.eid is not None:
            proved.append(claims.eid)
    _n3(checked)
    conclude(checked.ues, gathered, ledger, anchored=bool(anchors.certificates))
    return checked


def _ue(found: UeCheck, ledger: Ledger) -> UeCheck:
    frames, n2 = found.frames, found.n2
    _one_after_the_other(found, ledger)
    check_eap(found.carried, [_whole(seen) for seen in frames.eap], {seen.frame for seen in frames.radio}, ledger)
    attach = found.claims.attach
    check_context(n2, None if attach is None else attach.capability, found.nas.k_gnbs, found.srb.k_gnb, ledger)
    _check_order(found, ledger)
    check_release(found.nas.read, found.srb.rrc, found.n2.control, ledger)
    bearers = _bearers(found, ledger)
    for seen in frames.user:
        found.user.radio(seen, bearers)
    return found


def _check_order(found: UeCheck, ledger: Ledger) -> None:
    """As the UE has seen it, as the CP has, and as the RAN has, who sees into no NAS."""
    nas = [(item.carried, type(item.message)) for item in found.nas.read]
    radio = {seen.frame for seen in found.frames.radio}
    rrc = [Said(item.seen.frame, RRC, item.seen.uplink, type(item.message)) for item in found.srb.rrc]
    control = [Said(item.seen.frame, N2, item.seen.uplink, type(item.message)) for item in found.n2.control]
    on_radio, on_n2 = (
        [
            Said(copy.frame, NAS, item.uplink, kind)
            for item, kind in nas
            for copy in item.copies
            if (copy.frame in radio) is wanted
        ]
        for wanted in (True, False)
    )
    if found.frames.radio:
        check_order([*on_radio, *rrc], frozenset({NAS, RRC}), ledger)
    if found.frames.n2:
        check_order([*on_n2, *control], frozenset({NAS, N2}), ledger)
    if found.frames.radio and found.frames.n2:
        check_order([*rrc, *control], frozenset({RRC, N2}), ledger)


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
    unopened = found.claims.unopened
    if unopened is not None and found.nas.root is None and not found.claims.elsewhere:
        ledger.fault(*unopened)


def _fresh(claims: Claims) -> Claims:
    return Claims(claims.keys, claims.runs, claims.names, claims.plmns, others=claims.others)


def _merged(found: UeCheck, eap: Sequence[Copy], ledger: Ledger, *, whole: bool) -> list[Carried]:
    sources = []
    for uplink in (True, False):
        radio = [copy for seen, copy in found.srb.nas if seen.uplink is uplink]
        n2 = [
            Copy(seen.frame, seen.head + N2_HEADER, seen.octets[N2_HEADER:], seen.captured.at)
            for seen in found.n2.nas
            if seen.uplink is uplink
        ]
        sources.append(Sources(uplink, radio, n2))
    return merge(sources, eap, ledger, whole=whole)


def _whole(seen: Seen) -> Copy:
    return Copy(seen.frame, seen.head, seen.octets)


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
    asked = {item.message.session_id for item in found.nas.read if isinstance(item.message, PduSessionRequest)}
    for control in found.n2.control:
        message, frame = control.message, control.seen.frame
        if not isinstance(message, SessionResourceSetupRequest):
            continue
        if not (message.integrity_required and message.confidentiality_required):
            ledger.fault(frame, "the CP asks for a data bearer without both protections")
        if message.session_id not in asked:
            ledger.loose(frame, "resources for a session that the UE has not asked for")
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
        accepted = [item.carried for item in ue.nas.read if isinstance(item.message, PduSessionAccept)]
        if accepted:
            ue.user.begins_after(max(copy.frame for copy in accepted[0].copies))


def _tunnel_place(ue: UeCheck, frame: int) -> tuple[int, int]:
    """Where the control message stands that names the end of a tunnel: offset and length."""
    seen = next(control.seen for control in ue.n2.control if control.seen.frame == frame)
    return seen.head + N2_HEADER, len(seen.octets) - N2_HEADER


def _is_gpdu(seen: Seen) -> bool:
    return len(seen.octets) > 1 and seen.octets[1] == 0xFF
