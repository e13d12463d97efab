"""Every pair of 128-NEA and 128-NIA in whole ordinary attaches, and what is never chosen."""

from dataclasses import replace

import pytest
from doubles import fake_scheme
from doubles.world import CAPABILITY, World, ordinary, plain_nas, provisioning

from rprov.causes import Cause
from rprov.crypto.hierarchy import k_gnb, k_nas_enc, k_nas_int, k_up_enc, k_up_int
from rprov.crypto.nas_algorithms import DOWNLINK, UPLINK, cipher, integrity
from rprov.errors import MacMismatch, Refused, Replayed
from rprov.model.security import Algorithms, Nea, Nia, Scope, SecurityCapability
from rprov.procedure import actions as act
from rprov.procedure.s1_attach import choose_algorithms
from rprov.security.context import SecurityContext, Side
from rprov.security.envelope import SecurityHeader, parse_pdu
from rprov.wire import messages as nas
from rprov.wire.link import decode_n2_frame

PAIRS = [(nea, nia) for nea in Nea for nia in Nia if nia is not Nia.NIA0]
pairs = pytest.mark.parametrize(("nea", "nia"), PAIRS, ids=[f"{nea.name}-{nia.name}" for nea, nia in PAIRS])
PLAIN = b"forty octets of an IP packet, all of them"


def attached(nea: Nea, nia: Nia) -> tuple:
    world = World(nea=(nea,), nia=(nia,))
    ue = world.add_ue(ordinary())
    world.pump()
    assert ue.outcome == act.Conclude(True, Cause.NORMAL)
    assert world.state(ue) == "Online"
    assert world.discards() == []
    return world, ue


def protected_nas(world: World, header: SecurityHeader, up: bool) -> list:
    """Protected NAS PDUs of one kind, as they crossed N2."""
    frames = [decode_n2_frame(frame.octets).payload for frame in world.log if frame.link == "n2" and frame.up is up]
    return [parse_pdu(payload) for payload in frames if payload and payload[0] == header]


# --- all pairs --------------------------------------------------------------------------------------------------------


def test_sixteen_pairs_less_those_without_integrity():
    assert len(PAIRS) == 12


@pairs
def test_all_three_nodes_use_what_was_chosen(nea, nia):
    world, ue = attached(nea, nia)
    chosen = Algorithms(nea, nia)
    assert ue.endpoint.nas.current.algorithms == world.cp_ue(ue).nas.current.algorithms == chosen
    assert ue.endpoint.access.state.keys.algorithms == world.ran_of(ue).machine.state.keys.algorithms == chosen
    assert any(f"128-{nea.name}, 128-{nia.name}" in proof for proof in world.proofs())


@pairs
def test_the_security_mode_is_protected_as_it_says(nea, nia):
    """The octets of the two messages against the bare algorithms, whose own answers stand in tests/crypto."""
    world, ue = attached(nea, nia)
    key = ue.endpoint.nas.current.k_amf
    mac = integrity(nia, k_nas_int(key, nia)).mac
    [command] = protected_nas(world, SecurityHeader.INTEGRITY_NEW_CONTEXT, up=False)
    [complete] = protected_nas(world, SecurityHeader.INTEGRITY_CIPHERED_NEW_CONTEXT, up=True)
    for pdu, direction in ((command, DOWNLINK), (complete, UPLINK)):
        assert mac(0, 1, direction, bytes((pdu.sequence_number,)) + pdu.payload) == pdu.mac
    told = world.nas.decode(command.payload)
    assert (told.nea, told.nia, told.capability) == (nea, nia, CAPABILITY)
    plain = cipher(nea, k_nas_enc(key, nea)).apply(0, 1, UPLINK, complete.payload)
    assert isinstance(world.nas.decode(plain), nas.SecurityModeComplete)
    assert (plain == complete.payload) is (nea is Nea.NEA0)


@pairs
def test_nas_goes_both_ways_once_and_only_whole(nea, nia):
    world, ue = attached(nea, nia)
    contexts = ue.endpoint.nas.current, world.cp_ue(ue).nas.current
    for one, other in (contexts, contexts[::-1]):
        pdu = one.protect(PLAIN, SecurityHeader.INTEGRITY_CIPHERED)
        assert (PLAIN in pdu) is (nea is Nea.NEA0)
        for bit in (0, 1, 8 * len(PLAIN) - 1):
            payload = bytearray(pdu)
            payload[-1 - bit // 8] ^= 1 << bit % 8
            with pytest.raises(MacMismatch):
                other.unprotect(parse_pdu(bytes(payload)))
        assert other.unprotect(parse_pdu(pdu)).plain == PLAIN
        with pytest.raises((Replayed, MacMismatch)):
            other.unprotect(parse_pdu(pdu))


@pairs
def test_user_packets_go_both_ways_once_and_only_whole(nea, nia):
    world, ue = attached(nea, nia)
    ends = ue.bearers[1], world.ran_bearers[1, 1]
    for (one, other), direction in ((ends, UPLINK), (ends[::-1], DOWNLINK)):
        first, second = one.protect(PLAIN), one.protect(PLAIN)
        assert (PLAIN in first) is (nea is Nea.NEA0)
        with pytest.raises(MacMismatch):
            other.unprotect(first[:-1] + bytes((first[-1] ^ 1,)))
        assert other.unprotect(first) == other.unprotect(second) == PLAIN
        with pytest.raises(Replayed):
            other.unprotect(first)
        # by the bare algorithms: a header of 3 octets, then packet and MAC-I ciphered (TS 38.323 5.8, 5.9)
        key, count = ue.endpoint.access.state.keys.k_gnb, int.from_bytes(first[:3]) & 0x3FFFF
        opened = cipher(nea, k_up_enc(key, nea)).apply(count, 0, direction, first[3:])
        assert opened[:-4] == PLAIN
        assert opened[-4:] == integrity(nia, k_up_int(key, nia)).mac(count, 0, direction, first[:3] + PLAIN)


@pairs
def test_k_gnb_does_not_depend_on_the_pair(nea, nia):
    world, ue = attached(nea, nia)
    assert ue.endpoint.access.state.keys.k_gnb == k_gnb(world.cp_ue(ue).nas.current.k_amf, 0)


# --- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has", [(Nea.NEA0, Nea.NEA3), (Nea.NEA3, Nea.NEA1), (Nea.NEA1,), tuple(Nea)])
def test_the_network_takes_the_first_of_its_list_that_the_ue_has(has):
    world = World(nea=(Nea.NEA3, Nea.NEA2, Nea.NEA1, Nea.NEA0), nia=(Nia.NIA3, Nia.NIA1, Nia.NIA2))
    ue = world.add_ue(ordinary(), capability=SecurityCapability.of(has, (Nia.NIA1, Nia.NIA2)))
    world.pump()
    expected = Algorithms(next(nea for nea in world.cp_policy.nea if nea in has), Nia.NIA1)
    assert ue.endpoint.nas.current.algorithms == world.cp_ue(ue).nas.current.algorithms == expected


def test_nas_and_radio_choose_each_for_itself():
    world = World(nea=(Nea.NEA1,), nia=(Nia.NIA1,))
    world.ran_policy = replace(world.ran_policy, nea=(Nea.NEA3,), nia=(Nia.NIA2,))
    ue = world.add_ue(ordinary())
    world.pump()
    assert ue.endpoint.nas.current.algorithms == Algorithms(Nea.NEA1, Nia.NIA1)
    assert ue.endpoint.access.state.keys.algorithms == Algorithms(Nea.NEA3, Nia.NIA2)


@pytest.mark.parametrize("nia", [Nia.NIA1, Nia.NIA2, Nia.NIA3], ids=lambda nia: nia.name)
def test_null_ciphering_is_refused_in_provisioning(nia):
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side(), nea=(Nea.NEA0,), nia=(nia,))
    ue = world.add_ue(provisioning())
    world.pump()
    assert (ue.outcome.ok, ue.outcome.cause) == (False, Cause.SECURITY_CAPABILITIES_MISMATCH)
    assert [type(message).__name__ for message in plain_nas(world, up=False)] == ["AttachReject"]
    assert ue.endpoint.nas.current is None


@pytest.mark.parametrize("nia", [Nia.NIA1, Nia.NIA2, Nia.NIA3], ids=lambda nia: nia.name)
def test_null_ciphering_is_passed_over_in_provisioning(nia):
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side(), nea=(Nea.NEA0, Nea.NEA3), nia=(nia,))
    world.hold = lambda ask: isinstance(ask, act.Download)
    ue = world.add_ue(provisioning())
    world.pump()
    assert ue.endpoint.nas.current.algorithms == Algorithms(Nea.NEA3, nia)


def test_a_network_that_would_cipher_nothing_in_provisioning_is_refused_by_the_ue():
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side())
    encode = world.nas.encode

    def without_ciphering(message):
        return encode(replace(message, nea=Nea.NEA0) if isinstance(message, nas.SecurityModeCommand) else message)

    world.nas.encode = without_ciphering
    ue = world.add_ue(provisioning())
    world.pump()
    # its MAC cannot be verified: a context without ciphering is never made in this scope, so it is as if nothing came
    assert [item.reason for item in world.discards("ue")] != []
    assert world.state(ue) == "AwaitSecurityMode"
    world.fire_all()
    assert not ue.outcome.ok
    assert ue.endpoint.nas.current is None
    assert protected_nas(world, SecurityHeader.INTEGRITY_CIPHERED_NEW_CONTEXT, up=True) == []


@pytest.mark.parametrize("nia", [Nia.NIA1, Nia.NIA2, Nia.NIA3], ids=lambda nia: nia.name)
@pytest.mark.parametrize("side", Side)
def test_no_end_can_hold_a_provisioning_context_without_ciphering(side, nia):
    _, ue = attached(Nea.NEA2, Nia.NIA2)
    key = ue.endpoint.nas.current.k_amf
    with pytest.raises(Refused):
        SecurityContext(side, 0, key, Algorithms(Nea.NEA0, nia), Scope.PROVISIONING)
    SecurityContext(side, 0, key, Algorithms(Nea.NEA0, nia), Scope.ORDINARY)


@pytest.mark.parametrize("scope", Scope)
def test_null_integrity_is_never_chosen(scope):
    world = World(nea=tuple(Nea), nia=tuple(Nia))
    everything = SecurityCapability.of(tuple(Nea), tuple(Nia))
    assert choose_algorithms(everything, scope, world.cp_env).nia is Nia.NIA1
    with pytest.raises(Refused):
        choose_algorithms(SecurityCapability.of(tuple(Nea), (Nia.NIA0,)), scope, world.cp_env)


def bare_radio(**sides):
    """A RAN that would rather cipher nothing."""
    world = World(fake_scheme.cp_side(), fake_scheme.ue_side(), **sides)
    world.ran_policy = replace(world.ran_policy, nea=(Nea.NEA0, Nea.NEA2))
    world.hold = lambda ask: isinstance(ask, act.Download)
    return world


def test_a_ran_is_not_offered_null_ciphering_in_provisioning():
    world = bare_radio()
    ue = world.add_ue(provisioning())
    world.pump()
    assert ue.endpoint.access.state.keys.algorithms.nea is Nea.NEA2


def test_a_ue_refuses_null_ciphering_on_the_radio_in_provisioning(monkeypatch):
    monkeypatch.setattr(SecurityCapability, "without_null_ciphering", property(lambda capability: capability))
    world = bare_radio()
    ue = world.add_ue(provisioning())
    world.pump()
    assert "AsSecurityModeFailure" in world.seen("ue")
    assert world.state(ue) != "AwaitDownload"


def test_an_ordinary_attach_may_have_null_ciphering_on_the_radio_where_the_ran_says_so():
    world = bare_radio()
    ue = world.add_ue(ordinary())
    world.pump()
    assert ue.endpoint.access.state.keys.algorithms.nea is Nea.NEA0
