"""What must be refused: each with its own cause on the wire and its own sentence to the person, at both ends."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from doubles import certificates, fake_scheme
from doubles.pki import EID, FOREIGN_EID, NOW, OTHER_EID, PLMN, shared_pki
from doubles.samples import GUTI
from doubles.world import (
    CAPABILITY,
    IMSI,
    K,
    World,
    left_over,
    ordinary,
    plain_nas,
    provisioning,
    read_plain,
    rewrite_plain,
)

from rprov.auth.usim import ARRAY_SIZE, Usim
from rprov.causes import Cause
from rprov.crypto.x509_crl import Revocations
from rprov.model.identifiers import Supi
from rprov.model.records import DeviceRecord, OrderState
from rprov.model.report import StepEnded
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia, SecurityCapability
from rprov.model.session import SessionKind
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.procedure import s1_attach
from rprov.procedure.purpose import Intent, Purpose, Subscription
from rprov.wire import messages as nas
from rprov.wire.link import UeContextReleaseCommand, decode_n2_frame
from rprov.wire.radio import RrcRelease, SrbKind, encode_srb

REFUSING = (
    nas.AttachReject,
    nas.AuthenticationReject,
    nas.AuthenticationFailure,
    nas.SecurityModeReject,
    nas.PduSessionReject,
)


def told(world: World, role: str) -> str:
    """The sentence with which a node has taken down its failure."""
    return next(
        (
            item.detail
            for item in reversed(world.items)
            if isinstance(item, StepEnded) and item.role == role and not item.ok
        ),
        "",
    )


def on_the_wire(world: World, up: bool) -> list[Cause]:
    return [message.cause for message in plain_nas(world, up) if isinstance(message, REFUSING)]


def assert_refused(world: World, ue, cause: Cause) -> None:
    """The UE has concluded with this cause, the CP has taken it down, and both keep nothing."""
    assert ue.outcome is not None, world.state(ue)
    assert (ue.outcome.ok, ue.outcome.cause) == (False, cause)
    assert cause.text in told(world, "ue")
    assert cause.text in told(world, "cp")
    world.fire_all()
    assert world.state(ue) == "Deregistered"
    assert left_over(world, ue) == {}
    assert world.cps == {}


def test_every_cause_has_a_sentence_of_its_own():
    assert len({cause.text for cause in Cause}) == len(Cause)
    assert all(cause.text[0].islower() and not cause.text.endswith(".") for cause in Cause)


# --- certificates -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """What one side shows and the other believes, and what comes of it."""

    cause: Cause
    device: str = "device"
    network: str = "network"
    cp: dict = field(default_factory=dict)
    anchors: tuple[str, ...] | None = None
    eid: object = EID
    later: timedelta = timedelta()


BY_THE_CP = {
    "unknown CI": Case(Cause.UNKNOWN_CI, "device_of_other_ci"),
    "CI that the CP does not list": Case(Cause.UNKNOWN_CI, cp={"anchors": ("other_ci",)}),
    "expired certificate": Case(Cause.CERTIFICATE_EXPIRED, "expired_device"),
    "expired certificate of the EUM": Case(Cause.CERTIFICATE_EXPIRED, "expired_eum_device"),
    "certificate not yet valid": Case(Cause.CERTIFICATE_NOT_YET_VALID, "future_device"),
    "EID of the request is not that of the certificate": Case(Cause.EID_MISMATCH, "other_device"),
    "EID of somebody else in the request": Case(Cause.EID_MISMATCH, eid=OTHER_EID),
    "EUM not allowed to issue that EID": Case(Cause.EUM_NOT_AUTHORISED, "foreign_device", eid=FOREIGN_EID),
    "EUM that says nothing of EIDs": Case(Cause.EUM_NOT_AUTHORISED, "unvouched_device"),
    "no role": Case(Cause.WRONG_CERTIFICATE_ROLE, "roleless_device"),
    "one role too many": Case(Cause.WRONG_CERTIFICATE_ROLE, "two_faced_device"),
    "EUM with the wrong role": Case(Cause.WRONG_CERTIFICATE_ROLE, "eum_with_wrong_role"),
    "a server's certificate": Case(Cause.WRONG_CERTIFICATE_ROLE, "dp_tls"),
    "revoked": Case(Cause.CERTIFICATE_REVOKED, cp={"revoked": "device"}),
}

BY_THE_UE = {
    "another PLMN": Case(Cause.NETWORK_NAME_MISMATCH, network="network_of_other_plmn"),
    "another anchor": Case(Cause.NETWORK_ANCHOR_UNKNOWN, network="network_of_other_anchor"),
    "a GSMA role": Case(Cause.NETWORK_ROLE_FORBIDDEN, network="network_with_gsma_role"),
    "the role of a device": Case(Cause.NETWORK_ROLE_FORBIDDEN, network="network_with_device_role"),
    "an SM-DP+ that plays network": Case(Cause.NETWORK_ROLE_FORBIDDEN, network="dp_tls", anchors=("ci", "network_ca")),
    "an eUICC that plays network": Case(Cause.NETWORK_ROLE_FORBIDDEN, network="euicc", anchors=("ci", "network_ca")),
    "no server": Case(Cause.NETWORK_CERTIFICATE_INVALID, network="network_without_server_auth"),
    "no purpose": Case(Cause.NETWORK_CERTIFICATE_INVALID, network="network_without_usage"),
    "expired": Case(Cause.NETWORK_CERTIFICATE_EXPIRED, network="expired_network"),
    "not yet valid": Case(Cause.NETWORK_CERTIFICATE_NOT_YET_VALID, network="future_network"),
}


def play(case: Case):
    pki = shared_pki()
    options = {name: value for name, value in case.cp.items() if name != "anchors"}
    if options.get("revoked"):
        revoked = getattr(pki, options["revoked"]).certificate
        issuer = pki.eum.certificate
        options["revoked"] = Revocations(frozenset({(certificates.key_id(issuer), revoked.serial_number)}))
    anchors = [getattr(pki, name) for name in case.cp["anchors"]] if "anchors" in case.cp else None
    trusted = [getattr(pki, name) for name in case.anchors] if case.anchors else None
    world = World(
        certificates.cp_side(getattr(pki, case.network), anchors, **options),
        certificates.ue_side(getattr(pki, case.device), trusted),
    )
    ue = world.add_ue(provisioning(case.eid))
    world.pump()
    return world, ue


@pytest.mark.parametrize("name", BY_THE_CP)
def test_the_cp_refuses_a_device_with(name):
    case = BY_THE_CP[name]
    world, ue = play(case)
    assert on_the_wire(world, up=False) == [case.cause]
    assert_refused(world, ue, case.cause)
    assert world.asks == [act.LookUpDevice(case.eid)]


@pytest.mark.parametrize("name", BY_THE_UE)
def test_the_ue_refuses_a_network_with(name):
    case = BY_THE_UE[name]
    world, ue = play(case)
    assert on_the_wire(world, up=True) == [case.cause]
    assert_refused(world, ue, case.cause)


def test_the_alert_of_tls_travels_too():
    world, _ = play(BY_THE_CP["unknown CI"])
    last = [m for m in plain_nas(world, up=False) if isinstance(m, nas.AuthenticationRequest)][-1]
    assert b"\x02\x30" not in last.challenge.packet  # the alert is encrypted in TLS 1.3 ...
    assert b"\x17\x03\x03" in last.challenge.packet  # ... as application data
    (reject,) = [m for m in plain_nas(world, up=False) if isinstance(m, nas.AuthenticationReject)]
    assert reject.eap is not None
    assert reject.eap.packet[0] == 4  # EAP-Failure
    world, _ = play(BY_THE_UE["another PLMN"])
    (failure,) = [m for m in plain_nas(world, up=True) if isinstance(m, nas.AuthenticationFailure)]
    assert failure.eap is not None
    assert failure.eap.packet[0] == 2


def test_the_good_certificates_are_not_refused():
    pki = shared_pki()
    for device in ("device", "euicc", "extension_device"):
        for network in ("network", "network_below_sub_ca"):
            world = World(certificates.cp_side(getattr(pki, network)), certificates.ue_side(getattr(pki, device)))
            ue = world.add_ue(provisioning())
            world.pump()
            assert ue.outcome.ok, (device, network)


def test_a_certificate_is_judged_by_the_time_of_the_attach():
    for years, cause in ((0, None), (20, Cause.NETWORK_CERTIFICATE_EXPIRED)):
        world = World(certificates.cp_side(), certificates.ue_side(), wall=NOW + timedelta(days=365 * years))
        ue = world.add_ue(provisioning())
        world.pump()
        assert ue.outcome.cause is (cause or Cause.NORMAL)


# --- eligibility ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [certificates, fake_scheme], ids=["EAP-TLS", "fake"])
@pytest.mark.parametrize("order", ["none", *OrderState])
def test_no_order_for_the_eid(scheme, order):
    world = World(scheme.cp_side(), scheme.ue_side())
    record = world.devices[EID]
    world.devices[EID] = (
        DeviceRecord(EID, None)
        if order == "none"
        else DeviceRecord(EID, replace(record.order, state=OrderState(order)))
    )
    ue = world.add_ue(provisioning())
    world.pump()
    if order in (OrderState.RELEASED, OrderState.DOWNLOADED):
        assert ue.outcome.ok
        return
    assert on_the_wire(world, up=False) == [Cause.NO_ORDER]
    assert_refused(world, ue, Cause.NO_ORDER)
    # The certificate was proved before anybody was told: a stranger does not learn who has an order.
    assert any(proof.startswith(f"the device is EID {EID}") for proof in world.proofs())


def test_a_stranger_does_not_learn_who_has_an_order():
    """With a wrong certificate the answer is the same, whether there is an order or not."""
    pki = shared_pki()
    answers = []
    for order in (True, False):
        world = World(certificates.cp_side(), certificates.ue_side(pki.other_device))
        if not order:
            world.devices[EID] = DeviceRecord(EID, None)
        world.add_ue(provisioning())
        world.pump()
        answers.append([type(message).__name__ for message in plain_nas(world, up=False)])
        assert on_the_wire(world, up=False) == [Cause.EID_MISMATCH]
    assert answers[0] == answers[1]


def test_a_store_that_fails_is_our_fault_and_may_be_tried_again():
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    world.cp_answer = lambda ask: ev.StoreFailed("the disk is full")
    ue = world.add_ue(provisioning(), max_attempts=1)
    world.pump()
    assert on_the_wire(world, up=False) == [Cause.NETWORK_FAILURE]
    assert_refused(world, ue, Cause.NETWORK_FAILURE)


# --- scope ------------------------------------------------------------------------------------------------------------


def provisioned():
    """A device in the middle of step 5."""
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    world.hold = lambda ask: isinstance(ask, act.Download)
    ue = world.add_ue(provisioning())
    world.pump()
    assert world.state(ue) == "AwaitDownload"
    return world, ue


def say(world, ue, message):
    """Let the UE say something that its own machine would not; give what the CP answers, read with the UE's keys."""
    out = ue.endpoint.nas._protected(message)
    decoded = []
    codec = world.cp_ue(ue).nas.codec
    listening = Listening(codec, decoded)
    ue.endpoint.nas.codec = listening
    world._ue(ue, ue.endpoint._nas([out], world.ue_env(ue)))
    world.pump()
    ue.endpoint.nas.codec = codec
    return decoded


class Listening:
    """A codec that takes down what it reads."""

    def __init__(self, codec, read):
        self.codec, self.read, self.encode = codec, read, codec.encode

    def decode(self, octets):
        self.read.append(self.codec.decode(octets))
        return self.read[-1]


@pytest.mark.parametrize(
    ("request_", "cause"),
    [
        (nas.PduSessionRequest(2, SessionKind.PROVISIONING), Cause.SESSION_LIMIT),
        (nas.PduSessionRequest(2, SessionKind.ORDINARY), Cause.SCOPE_FORBIDS),
        (nas.PduSessionRequest(1, SessionKind.ORDINARY), Cause.SCOPE_FORBIDS),
    ],
)
def test_a_second_session_in_provisioning_scope(request_, cause):
    world, ue = provisioned()
    tunnels = dict(world.tunnels)
    answers = say(world, ue, request_)
    assert answers[0] == nas.PduSessionReject(request_.session_id, cause)
    assert world.tunnels == tunnels
    assert any(cause.text in proof for proof in world.proofs())
    assert world.state(ue) == "AwaitDownload"


def test_a_device_that_is_refused_its_session_leaves_and_says_why():
    """Something in the device has a session already when its own request, which was lost, is repeated."""
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    lost = []

    def lose_the_request(frame):
        if not lost and (frame.link, frame.up) == ("n2", True) and cp_state(world) == "Attached":
            lost.append(frame)
            return []
        return [frame]

    world.between = lose_the_request
    ue = world.add_ue(provisioning())
    world.pump()
    assert lost
    say(world, ue, nas.PduSessionRequest(2, SessionKind.PROVISIONING))
    assert cp_state(world) == "Connected"
    assert world.state(ue) == "AwaitSession"
    while ue.outcome is None:
        world.fire()
    assert ue.outcome == act.Conclude(False, Cause.SESSION_LIMIT, "no session")
    assert world.steps("ue")[-1] == (4, False)
    assert Cause.SESSION_LIMIT.text in told(world, "ue")
    assert any(Cause.SESSION_LIMIT.text in proof for proof in world.proofs())
    world.fire_all()
    assert left_over(world, ue) == {}


def test_the_refusal_of_another_session_is_none_of_this_one():
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    world.hold = lambda ask: isinstance(ask, act.OpenTunnel)
    ue = world.add_ue(provisioning())
    world.pump()
    answers = say(world, ue, nas.PduSessionRequest(2, SessionKind.PROVISIONING))
    assert answers == [nas.PduSessionReject(2, Cause.SESSION_LIMIT)]
    assert world.state(ue) == "AwaitSession"
    world.hold = lambda ask: False
    world.answer_held()
    assert ue.outcome.ok


def cp_state(world) -> str:
    return type(world.cp_ue(world.ues[0]).nas.machine.state).__name__ if world.cps else ""


def test_an_ordinary_session_is_all_that_an_ordinary_scope_gets():
    world = World()
    ue = world.add_ue(ordinary())
    world.pump()
    assert say(world, ue, nas.PduSessionRequest(2, SessionKind.ORDINARY))[0].cause is Cause.REQUEST_REJECTED
    assert len(world.tunnels) == 1


@pytest.mark.parametrize("attach", [nas.AttachType.INITIAL, nas.AttachType.REMOTE_PROVISIONING])
def test_a_provisioning_context_used_for_another_attach(attach):
    world, ue = provisioned()
    guti = next(iter(world.gutis))
    answers = say(world, ue, nas.AttachRequest(attach, guti, 0, CAPABILITY))
    assert answers[0] == nas.AttachReject(Cause.SCOPE_FORBIDS)
    assert any(Cause.SCOPE_FORBIDS.text in proof for proof in world.proofs())
    assert world.state(ue) == "AwaitDownload"


def test_an_ordinary_attach_with_an_eid():
    """The device's own machine never does it, so its intent is made by hand."""
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    ue = world.add_ue(Intent(Purpose.ORDINARY, EID))
    world.pump()
    assert on_the_wire(world, up=False) == [Cause.SCOPE_FORBIDS]
    assert_refused(world, ue, Cause.SCOPE_FORBIDS)


def test_an_ordinary_attach_with_the_guti_of_a_provisioning_attach(monkeypatch):
    world = World()
    world.gutis[GUTI] = EID
    monkeypatch.setattr(s1_attach, "_shown", lambda identity, env: GUTI)
    ue = world.add_ue(ordinary())
    world.pump()
    assert on_the_wire(world, up=False) == [Cause.SCOPE_FORBIDS]
    world.gutis.clear()
    assert_refused(world, ue, Cause.SCOPE_FORBIDS)


def test_a_provisioning_attach_that_wants_an_ordinary_session():
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())

    def between(frame):
        message = read_plain(world, frame)
        if isinstance(message, nas.AttachRequest):
            return [rewrite_plain(world, frame, replace(message, requested_session=SessionKind.ORDINARY))]
        return [frame]

    world.between = between
    ue = world.add_ue(provisioning())
    world.pump()
    assert_refused(world, ue, Cause.SCOPE_FORBIDS)


def test_a_provisioning_attach_that_shows_no_eid(monkeypatch):
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    monkeypatch.setattr(s1_attach, "_shown", lambda identity, env: GUTI)
    ue = world.add_ue(provisioning())
    world.pump()
    assert on_the_wire(world, up=False) == [Cause.SEMANTICALLY_INCORRECT]
    assert_refused(world, ue, Cause.SEMANTICALLY_INCORRECT)


def test_provisioning_that_is_not_offered_by_the_ue():
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    world.cp_policy = replace(world.cp_policy, provisioning=None)
    ue = world.add_ue(provisioning())
    assert ue.outcome.cause is Cause.PROVISIONING_NOT_OFFERED
    assert world.log == []
    assert Cause.PROVISIONING_NOT_OFFERED.text in told(world, "ue")


def test_provisioning_that_is_not_offered_by_the_cp():
    """A cell that announces what its core does not do."""
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    ue = world.add_ue()
    world.cp_policy = replace(world.cp_policy, provisioning=None)
    world.want(ue, provisioning())
    world.pump()
    assert on_the_wire(world, up=False) == [Cause.PROVISIONING_NOT_OFFERED]
    assert_refused(world, ue, Cause.PROVISIONING_NOT_OFFERED)


def test_a_network_that_attaches_for_something_else_than_asked():
    world = World()
    accepts = []
    encode = world.nas.encode

    def changed(message):
        if isinstance(message, nas.AttachAccept):
            accepts.append(message)
            message = replace(message, scope=1 - message.scope)
        return encode(message)

    world.nas.encode = changed
    ue = world.add_ue(ordinary())
    world.pump()
    assert accepts
    assert ue.outcome.cause is Cause.SCOPE_FORBIDS
    assert "DetachAccept" in world.seen("ue")
    assert left_over(world, ue) == {}


@pytest.mark.parametrize("kind", [k for k in nas.AttachType if k not in (0, 4)], ids=lambda kind: kind.name)
def test_an_attach_that_is_not_built_is_refused_by_name(kind):
    world = World()

    def between(frame):
        message = read_plain(world, frame)
        if isinstance(message, nas.AttachRequest):
            return [rewrite_plain(world, frame, replace(message, attach_type=kind))]
        return [frame]

    world.between = between
    ue = world.add_ue(ordinary())
    world.pump()
    assert on_the_wire(world, up=False) == [Cause.MESSAGE_TYPE_NOT_IMPLEMENTED]
    assert kind.name in told(world, "cp")
    assert_refused(world, ue, Cause.MESSAGE_TYPE_NOT_IMPLEMENTED)


# --- AKA --------------------------------------------------------------------------------------------------------------


def test_mac_failure_of_aka():
    """The network does not hold the subscriber's key."""
    world = World()
    supi = Supi.of_imsi(IMSI)
    world.subscribers[supi] = replace(world.subscribers[supi], k=Secret(bytes(16)))
    ue = world.add_ue(ordinary())
    world.pump()
    assert on_the_wire(world, up=True) == [Cause.MAC_FAILURE]
    assert on_the_wire(world, up=False) == [Cause.MAC_FAILURE]
    assert_refused(world, ue, Cause.MAC_FAILURE)


def ahead(seq: int = 1000) -> Usim:
    """A USIM that has seen later sequence numbers than the network will give."""
    return Usim(K, Secret(bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf")), (seq,) * ARRAY_SIZE)


def test_sqn_out_of_range_is_resynchronised_once():
    world = World()
    ue = world.add_ue(ordinary(), usim=ahead())
    world.pump()
    assert ue.outcome.ok
    assert on_the_wire(world, up=True) == [Cause.SYNCH_FAILURE]
    first, again = (ask for ask in world.asks if isinstance(ask, act.ReserveVector))
    assert (first.resynchronise, again.resynchronise) == (None, 1000 << 5)
    assert world.subscribers[Supi.of_imsi(IMSI)].sqn >> 5 > 1000


def test_sqn_that_stays_out_of_range():
    """The store does not take the USIM's number over."""
    world = World()
    answer = world.cp_answer
    world.cp_answer = lambda ask: answer(
        replace(ask, resynchronise=None) if isinstance(ask, act.ReserveVector) else ask
    )
    ue = world.add_ue(ordinary(), usim=ahead())
    world.pump()
    assert on_the_wire(world, up=True) == [Cause.SYNCH_FAILURE, Cause.SYNCH_FAILURE]
    assert on_the_wire(world, up=False) == [Cause.SEQUENCE_OUT_OF_RANGE]
    assert_refused(world, ue, Cause.SEQUENCE_OUT_OF_RANGE)


def tamper(world, kind, change):
    """Let a stranger on the radio change every plain message of a type."""

    def between(frame):
        message = read_plain(world, frame)
        return [rewrite_plain(world, frame, change(message)) if isinstance(message, kind) else frame]

    world.between = between


def test_a_wrong_answer_to_the_challenge():
    world = World()
    tamper(world, nas.AuthenticationResponse, lambda m: nas.AuthenticationResponse(nas.AkaAnswer(bytes(16))))
    ue = world.add_ue(ordinary())
    world.pump()
    assert on_the_wire(world, up=False) == [Cause.RES_MISMATCH]
    assert_refused(world, ue, Cause.RES_MISMATCH)


def test_auts_that_nobody_with_the_key_has_made():
    world = World()
    tamper(
        world,
        nas.AuthenticationResponse,
        lambda m: nas.AuthenticationFailure(Cause.SYNCH_FAILURE, auts=bytes(14)),
    )
    ue = world.add_ue(ordinary())
    world.pump()
    assert_refused(world, ue, Cause.MAC_FAILURE)
    assert [ask.resynchronise for ask in world.asks] == [None]


@pytest.mark.parametrize(("known", "cause"), [(False, Cause.IDENTITY_UNKNOWN), (True, Cause.ILLEGAL_UE)])
def test_a_subscriber_that_is_unknown_or_blocked(known, cause):
    world = World()
    supi = Supi.of_imsi(IMSI)
    record = world.subscribers.pop(supi)
    if known:
        world.subscribers[supi] = replace(record, active=False)
    ue = world.add_ue(ordinary())
    world.pump()
    assert on_the_wire(world, up=False) == [cause]
    assert_refused(world, ue, cause)


def test_a_suci_that_cannot_be_revealed():
    world = World()
    ue = world.add_ue(
        Intent(Purpose.ORDINARY, Subscription(IMSI, PLMN, scheme=1, key_id=9, public_key=bytes(range(9, 41))))
    )
    world.pump()
    assert ue.outcome.ok is False
    (cause,) = on_the_wire(world, up=False)
    assert_refused(world, ue, cause)


# --- bidding down -----------------------------------------------------------------------------------------------------


def weaker(message):
    return replace(message, capability=SecurityCapability.of((Nea.NEA2,), (Nia.NIA2,)))


def test_capabilities_that_were_changed_on_their_way_are_found_by_the_ue():
    world = World()
    tamper(world, nas.AttachRequest, weaker)
    ue = world.add_ue(ordinary())
    world.pump()
    assert on_the_wire(world, up=True) == [Cause.SECURITY_CAPABILITIES_MISMATCH]
    assert_refused(world, ue, Cause.SECURITY_CAPABILITIES_MISMATCH)


def test_a_request_that_was_changed_on_its_way_is_found_by_the_cp():
    world = World()
    tamper(world, nas.AttachRequest, lambda message: replace(message, requested_session=None))
    ue = world.add_ue(ordinary())
    world.pump()
    assert on_the_wire(world, up=False) == []  # told under the keys that both have by then
    assert_refused(world, ue, Cause.SEMANTICALLY_INCORRECT)


@pytest.mark.parametrize(
    ("nea", "nia"), [((Nea.NEA2,), (Nia.NIA3,)), ((Nea.NEA1,), (Nia.NIA2,)), ((Nea.NEA2,), (Nia.NIA0,))]
)
def test_no_algorithm_in_common(nea, nia):
    world = World()
    ue = world.add_ue(ordinary(), capability=SecurityCapability.of(nea, nia))
    world.pump()
    assert on_the_wire(world, up=False) == [Cause.SECURITY_CAPABILITIES_MISMATCH]
    assert_refused(world, ue, Cause.SECURITY_CAPABILITIES_MISMATCH)


def test_null_integrity_is_never_chosen_whatever_the_policies_say():
    every = SecurityCapability.of(tuple(Nea), tuple(Nia))
    world = World(nia=(Nia.NIA0,))
    ue = world.add_ue(ordinary(), capability=every)
    world.pump()
    assert_refused(world, ue, Cause.SECURITY_CAPABILITIES_MISMATCH)
    world = World(nia=(Nia.NIA2,))
    world.ran_policy = replace(world.ran_policy, nia=(Nia.NIA0,))
    ue = world.add_ue(ordinary(), capability=every, max_attempts=1)
    world.pump()
    assert_refused(world, ue, Cause.NETWORK_FAILURE)
    assert Cause.SECURITY_CAPABILITIES_MISMATCH.text in told(world, "cp")


def test_an_abba_that_would_mean_other_keys():
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    tamper(world, nas.AuthenticationRequest, lambda message: replace(message, abba=b"\0\1"))
    ue = world.add_ue(provisioning())
    world.pump()
    assert ue.outcome.cause is Cause.REQUEST_REJECTED
    assert "ABBA 0001" in told(world, "ue")
    assert left_over(world, ue).keys() <= {"cp", "ran"}
    world.fire_all()
    assert left_over(world, ue) == {}


def test_the_success_of_an_exchange_that_the_ue_did_not_see():
    """The SecurityModeCommand carries another EAP packet than the success of this exchange."""
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    encode = world.nas.encode
    world.nas.encode = lambda message: encode(
        replace(message, eap=nas.Eap(b"other")) if isinstance(message, nas.SecurityModeCommand) else message
    )
    ue = world.add_ue(provisioning())
    world.pump()
    assert on_the_wire(world, up=True) == [Cause.EAP_FAILED]
    assert_refused(world, ue, Cause.EAP_FAILED)


# --- AS security ------------------------------------------------------------------------------------------------------


def test_as_keys_that_the_ue_does_not_have():
    """The RAN was given another K_gNB: the UE says so without protection, and still hears what follows."""
    world = World()
    given = {}

    def between(frame):
        if frame.link == "n2" and not frame.up:
            n2 = decode_n2_frame(frame.octets)
            if not given and n2.kind == 0:
                message = world.link.decode(n2.payload)
                given["request"] = message
                changed = replace(message, k_gnb=Secret(bytes(32)))
                return [replace(frame, octets=replace(n2, payload=world.link.encode(changed)).encode())]
        return [frame]

    world.between = between
    ue = world.add_ue(ordinary(), max_attempts=1)
    world.pump()
    assert "AsSecurityModeFailure" in world.seen("ue")
    assert "AttachReject" in world.seen("ue")
    assert_refused(world, ue, Cause.NETWORK_FAILURE)
    assert Cause.MAC_FAILURE.text in told(world, "cp")


@pytest.mark.parametrize("algorithm", ["nea", "nia"])
def test_as_algorithms_that_the_ue_does_not_have(algorithm):
    world = World()
    every = SecurityCapability.of(tuple(Nea), tuple(Nia))

    def between(frame):
        if frame.link == "n2" and not frame.up:
            n2 = decode_n2_frame(frame.octets)
            if n2.kind == 0 and not isinstance(message := world.link.decode(n2.payload), UeContextReleaseCommand):
                payload = world.link.encode(replace(message, capability=every))
                return [replace(frame, octets=replace(n2, payload=payload).encode())]
        return [frame]

    world.between = between
    world.ran_policy = replace(world.ran_policy, **{algorithm: (Nea.NEA3,) if algorithm == "nea" else (Nia.NIA3,)})
    ue = world.add_ue(ordinary(), capability=SecurityCapability.of((Nea.NEA2,), (Nia.NIA2,)), max_attempts=1)
    world.pump()
    assert "AsSecurityModeFailure" in world.seen("ue")
    assert_refused(world, ue, Cause.NETWORK_FAILURE)


# --- hearsay ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", [Cause.ILLEGAL_UE, Cause.NO_ORDER, Cause.NORMAL])
def test_an_unprotected_release_ends_the_connection_but_not_the_device(cause):
    """Anybody can cut a radio link; nobody without keys can say that it was for good."""
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    cut = []

    def between(frame):
        if not cut and frame.link == "radio" and not frame.up and world.state(world.ues[0]) == "AwaitSecurityMode":
            cut.append(frame)
            release = encode_srb(SrbKind.RRC, world.radio.encode(RrcRelease(cause)))
            return [replace(frame, octets=frame.octets[:6] + release + bytes(4))]
        return [frame]

    world.between = between
    ue = world.add_ue(provisioning())
    world.pump()
    assert cut
    assert world.state(ue) == "AwaitRetry"
    world.fire_all(until=50)
    assert ue.outcome.ok


@pytest.mark.parametrize(
    "lie",
    [
        nas.AuthenticationReject(Cause.ILLEGAL_UE),
        nas.AttachReject(Cause.ILLEGAL_UE),
        nas.IdentityRequest(nas.IdentityType.EID),
        nas.AuthenticationRequest(0, b"\0\1", nas.Eap(b"commit")),
        nas.AuthenticationRequest(0, b"\0\0", nas.Eap(b"something else")),
        nas.AuthenticationRequest(0, b"\0\0", nas.AkaChallenge(bytes(16), bytes(16))),
        nas.DetachRequest(Cause.ILLEGAL_UE),
        nas.SecurityModeCommand(Nea.NEA0, Nia.NIA0, 0, CAPABILITY, b"\0\0"),
        nas.AttachAccept(GUTI, 0, 0, 0),
    ],
    ids=lambda lie: type(lie).__name__,
)
@pytest.mark.parametrize("scheme", [certificates, fake_scheme], ids=["EAP-TLS", "fake"])
def test_once_the_network_has_committed_itself_nothing_unprotected_decides(lie, scheme):
    world = World(scheme.cp_side(), scheme.ue_side())
    told_lies = []

    def between(frame):
        if frame.link == "n2" and not frame.up and not told_lies:
            ue = world.ues[0]
            if world.state(ue) == "AwaitSecurityMode":
                told_lies.append(lie)
                n2 = decode_n2_frame(frame.octets)
                forged = replace(n2, payload=b"\0" + world.nas.encode(lie))
                return [replace(frame, octets=forged.encode()), frame]
        return [frame]

    world.between = between
    ue = world.add_ue(provisioning())
    world.pump()
    assert told_lies
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert len([step for step in world.steps("ue") if step == (2, True)]) == 1
