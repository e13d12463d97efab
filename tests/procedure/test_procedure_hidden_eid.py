"""A device that keeps its EID to itself: a hint on the radio, the certificate inside TLS 1.3, the store only then."""

from dataclasses import replace
from functools import lru_cache

import pytest
from doubles import certificates, fake_scheme
from doubles.eid_forms import shown_in
from doubles.pki import EID, shared_pki
from doubles.world import World, left_over, plain_nas, provisioning, read_plain, rewrite_plain

from rprov.auth.eap_tls import EapTlsPeerEngines
from rprov.causes import Cause
from rprov.crypto.x509_crl import Revocations
from rprov.model.identifiers import Eid, EidHint
from rprov.model.records import DeviceRecord
from rprov.model.tls import TlsChoices, TlsVersion
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.wire import messages as nas

HINT = EidHint(EID.digits[:8])
BOTH = TlsChoices(tls_versions=(TlsVersion.TLS_1_3, TlsVersion.TLS_1_2))


def world_of(cp=None, ue=None, **options) -> World:
    return World(cp or certificates.cp_side(**options), ue or certificates.ue_side())


def attach(world: World, eid: Eid = EID, hidden: bool = True):
    ue = world.add_ue(provisioning(eid), hide_eid=hidden)
    world.pump()
    return ue


def shown(world: World) -> list[str]:
    """The forms in which the EID stands in some frame of the radio."""
    return shown_in((frame.octets for frame in world.log if frame.link == "radio"), EID)


@lru_cache(maxsize=2)
def whole_run(hidden: bool) -> World:
    world = world_of()
    seen = []

    def between(frame):
        seen.append(frame)
        return [frame]

    world.between = between
    ue = attach(world, hidden=hidden)
    assert ue.outcome is not None
    assert ue.outcome.ok
    assert [frame for frame in seen if frame.link == "radio"] == [f for f in world.log if f.link == "radio"]
    world.ue_event(ue, ev.DetachWanted())
    world.pump()
    world.fire_all()
    return world


def test_a_device_gets_in_with_a_hint_and_the_network_learns_its_eid_from_the_certificate():
    world = whole_run(True)
    request = next(m for m in plain_nas(world, up=True) if isinstance(m, nas.AttachRequest))
    assert request.identity == HINT
    assert world.asks[0] == act.LookUpDevice(EID)
    assert any(proof.startswith(f"the device is EID {EID}") for proof in world.proofs())


def test_no_frame_of_the_radio_shows_the_eid():
    assert shown(whole_run(True)) == []


def test_without_it_the_eid_is_there_for_everybody_to_read():
    """The search finds what is to be found."""
    assert shown(whole_run(False)) == ["BCD", "half of it, BCD"]


def test_the_keys_are_those_of_the_whole_eid():
    """K_AMF takes the SUPI, which both sides make of the certificate's EID."""
    world = world_of()
    world.hold = lambda ask: isinstance(ask, act.Download)
    ue = attach(world)
    assert list(world.registered) == [str(EID)]
    assert ue.endpoint.nas.current.k_amf.octets == world.cp_ue(ue).nas.current.k_amf.octets


# --- refusals -----------------------------------------------------------------------------------------------------


def refused(world: World, ue, cause: Cause) -> None:
    assert (ue.outcome.ok, ue.outcome.cause) == (False, cause)
    world.fire_all()
    assert left_over(world, ue) == {}
    assert world.cps == {}
    assert shown(world) == []


@pytest.mark.parametrize("scheme", [certificates, fake_scheme], ids=["EAP-TLS", "fake"])
def test_no_order_is_found_out_after_the_certificate(scheme):
    world = World(scheme.cp_side(), scheme.ue_side())
    world.devices[EID] = DeviceRecord(EID, None)
    ue = attach(world)
    assert world.asks == [act.LookUpDevice(EID)]
    refused(world, ue, Cause.NO_ORDER)


@pytest.mark.parametrize(
    ("device", "cause"),
    [
        ("device_of_other_ci", Cause.UNKNOWN_CI),
        ("expired_device", Cause.CERTIFICATE_EXPIRED),
        ("foreign_device", Cause.EUM_NOT_AUTHORISED),
        ("roleless_device", Cause.WRONG_CERTIFICATE_ROLE),
    ],
)
def test_a_certificate_is_judged_before_the_store_is_asked(device, cause):
    world = world_of(ue=certificates.ue_side(getattr(shared_pki(), device)))
    ue = attach(world)
    assert world.asks == []
    refused(world, ue, cause)


def test_a_certificate_of_another_issuer_than_the_hint_is_refused():
    world = world_of()

    def between(frame):
        message = read_plain(world, frame) if frame.link == "radio" else None
        if isinstance(message, nas.AttachRequest):
            return [rewrite_plain(world, frame, replace(message, identity=EidHint("89121212")))]
        return [frame]

    world.between = between
    ue = attach(world)
    refused(world, ue, Cause.EID_MISMATCH)


def test_a_revoked_device_is_refused():
    pki = shared_pki()
    serial = (certificates.key_id(pki.eum.certificate), pki.device.certificate.serial_number)
    world = world_of(revoked=Revocations(frozenset({serial})))
    refused(world, attach(world), Cause.CERTIFICATE_REVOKED)


def test_a_network_that_wants_the_whole_eid_does_not_get_it():
    world = world_of()
    world.cp_policy = replace(world.cp_policy, eid_hints=False)
    ue = attach(world)
    refused(world, ue, Cause.REQUEST_REJECTED)


@pytest.mark.parametrize("kind", nas.IdentityType)
def test_nobody_who_asks_gets_the_eid(kind):
    """A stranger asks in place of the network's first words; the network says them again."""
    world = world_of()
    asked = []

    def between(frame):
        if frame.link == "radio" and not frame.up and not asked and read_plain(world, frame) is not None:
            asked.append(frame)
            return [rewrite_plain(world, frame, nas.IdentityRequest(kind))]
        return [frame]

    world.between = between
    ue = world.add_ue(provisioning(), hide_eid=True)
    world.pump()
    assert asked
    while ue.outcome is None:
        world.fire()
    assert ue.outcome.ok
    assert not any(isinstance(message, nas.IdentityResponse) for message in plain_nas(world, up=True))
    assert shown(world) == []


def test_a_hint_never_meets_tls_1_2():
    """The network lets TLS 1.2 in for others; a device that knows nothing else is refused, not shown."""
    pki = shared_pki()
    only_old = TlsChoices(tls_versions=(TlsVersion.TLS_1_2,))
    engines = EapTlsPeerEngines(certificates.credentials(pki.device), [pki.network_ca.certificate], choices=only_old)
    for hidden in (True, False):
        world = world_of(ue=lambda plmn, env: engines.scheme(plmn, env.wall), choices=BOTH)
        ue = attach(world, hidden=hidden)
        assert ue.outcome.ok is not hidden
        if hidden:
            refused(world, ue, Cause.EAP_FAILED)


# --- the shell is slow, or fails ----------------------------------------------------------------------------------


def test_the_0x00_waits_for_the_store():
    world = world_of()
    world.hold = lambda ask: isinstance(ask, act.LookUpDevice)
    ue = world.add_ue(provisioning(), hide_eid=True)
    world.pump()
    assert type(world.cp_ue(ue).nas.machine.state).__name__ == "AwaitProvedDevice"
    assert ue.endpoint.nas.partial is None
    world.answer_held()
    assert ue.outcome.ok


def test_a_store_that_fails_says_so():
    world = world_of()
    world.cp_answer = lambda ask: ev.StoreFailed("no disk")
    ue = world.add_ue(provisioning(), hide_eid=True, max_attempts=1)
    world.pump()
    refused(world, ue, Cause.NETWORK_FAILURE)
