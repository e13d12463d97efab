"""Equal keys on UE, RAN and CP, and none of them ever on the radio."""

from dataclasses import replace

import pytest
from doubles import certificates, fake_scheme
from doubles.pki import EID, OTHER_EID, PLMN, shared_pki
from doubles.world import IMSI, OTHER_IMSI, World, ordinary, provisioning

from rprov.auth.scheme import Answer, Authenticated
from rprov.crypto.hierarchy import k_amf, k_gnb, k_nas_enc, k_nas_int, k_rrc_enc, k_rrc_int, k_up_enc, k_up_int
from rprov.errors import MacMismatch, Misuse, Replayed
from rprov.model.identifiers import Supi
from rprov.model.security import Nea, Nia, Scope
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.procedure.bearers import data_bearer
from rprov.procedure.radio_connection import Secured
from rprov.security.envelope import SecurityHeader, parse_pdu
from rprov.wire.link import InitialContextSetupRequest, N2Kind, decode_n2_frame

KINDS = {
    "ordinary, AKA": (ordinary, fake_scheme),
    "provisioning, fake": (provisioning, fake_scheme),
    "provisioning, EAP-TLS": (provisioning, certificates),
}


class Spy:
    """A scheme of either side that lets a test see what it makes."""

    def __init__(self, scheme, seen):
        self.scheme, self.seen = scheme, seen

    def __getattr__(self, name):
        def call(*arguments):
            outcome = getattr(self.scheme, name)(*arguments)
            match outcome:
                case Answer(k_ausf=key) if key is not None:
                    self.seen.append(key)
                case Authenticated(k_seaf=key):
                    self.seen.append(key)
            return outcome

        return call


def attached(kind, **options):
    """A UE with a session and nothing after it, and the keys that the schemes made."""
    intent, sides = KINDS[kind]
    seen = []
    network, device = sides.cp_side(), sides.ue_side()
    world = World(
        lambda eid, env: Spy(network(eid, env), seen), lambda plmn, env: Spy(device(plmn, env), seen), **options
    )
    aka = world.cp_engines.aka
    world.cp_engines = replace(world.cp_engines, aka=lambda record, env: Spy(aka(record, env), seen))
    world.hold = lambda ask: isinstance(ask, act.Download)
    ue = world.add_ue()
    peer = ue.engines.aka
    ue.engines = replace(ue.engines, aka=lambda plmn, env: Spy(peer(plmn, env), seen))
    world.want(ue, intent())
    world.pump()
    assert world.state(ue) == ("Online" if intent is ordinary else "AwaitDownload")
    return world, ue, seen


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def all_keys(world, ue, seen):
    """Every key of the hierarchy that this attach has made, as octets by name."""
    key, base = ue.endpoint.nas.current.k_amf, ue.endpoint.access.state.keys.k_gnb
    algorithms = ue.endpoint.nas.current.algorithms
    keys = {f"scheme {index}": made for index, made in enumerate(seen)}
    keys |= {"K_AMF": key, "K_gNB": base}
    keys |= {"NASint": k_nas_int(key, algorithms.nia), "NASenc": k_nas_enc(key, algorithms.nea)}
    keys |= {"RRCint": k_rrc_int(base, algorithms.nia), "RRCenc": k_rrc_enc(base, algorithms.nea)}
    keys |= {"UPint": k_up_int(base, algorithms.nia), "UPenc": k_up_enc(base, algorithms.nea)}
    return {name: secret.octets for name, secret in keys.items()}


def broken(pdu: bytes) -> bytes:
    return pdu[:-1] + bytes((pdu[-1] ^ 1,))


def bits(octets: bytes) -> str:
    """Octets as bits: in UPER a field begins anywhere."""
    return f"{int.from_bytes(octets):0{8 * len(octets)}b}"


# --- equal ------------------------------------------------------------------------------------------------------------


def test_ue_and_cp_hold_the_same_nas_context(kind):
    world, ue, seen = attached(kind)
    mine, theirs = ue.endpoint.nas.current, world.cp_ue(ue).nas.current
    assert mine.k_amf == theirs.k_amf
    assert (mine.ksi, mine.algorithms, mine.scope) == (theirs.ksi, theirs.algorithms, theirs.scope)
    assert mine.last_uplink_count == theirs.last_uplink_count
    assert mine.last_downlink_count == theirs.last_downlink_count
    assert len(seen) == 2  # K_AUSF at the UE, K_SEAF at the CP
    for one, other in ((mine, theirs), (theirs, mine)):
        pdu = parse_pdu(one.protect(b"hello", SecurityHeader.INTEGRITY_CIPHERED))
        assert other.unprotect(pdu).plain == b"hello"


def test_the_context_knows_what_it_is_for(kind):
    world, ue, _ = attached(kind)
    scope = Scope.ORDINARY if kind.startswith("ordinary") else Scope.PROVISIONING
    assert ue.endpoint.nas.current.scope is scope
    assert world.cp_ue(ue).nas.current.scope is scope


def test_k_amf_is_bound_to_the_identity(kind):
    _, ue, seen = attached(kind)
    k_seaf = next(key for key in seen if type(key).__name__ == "KSeaf")
    supi = Supi.of_imsi(IMSI) if kind.startswith("ordinary") else Supi.of_eid(EID, PLMN)
    assert ue.endpoint.nas.current.k_amf == k_amf(k_seaf, supi, b"\0\0")


def test_ue_and_ran_hold_the_same_as_keys_and_the_cp_made_them(kind):
    world, ue, _ = attached(kind)
    mine, theirs = ue.endpoint.access.state.keys, world.ran_of(ue).machine.state.keys
    assert mine.k_gnb == theirs.k_gnb == k_gnb(world.cp_ue(ue).nas.current.k_amf, 0)
    assert mine.algorithms == theirs.algorithms


def test_what_one_end_of_the_radio_protects_the_other_end_understands(kind):
    world, ue, _ = attached(kind)
    pairs = [(ue.endpoint.srb, world.ran_of(ue).srb), (ue.bearers[1], world.ran_bearers[1, 1])]
    for mine, theirs in pairs:
        for sender, receiver in ((mine, theirs), (theirs, mine)):
            pdu = sender.protect(b"an IP packet")
            assert b"an IP packet" not in pdu
            assert receiver.unprotect(pdu) == b"an IP packet"
            with pytest.raises(Replayed):
                receiver.unprotect(pdu)
            with pytest.raises(MacMismatch):
                receiver.unprotect(broken(sender.protect(b"another")))


def test_a_packet_of_one_device_is_nothing_to_another():
    world = World()
    ues = [world.add_ue(ordinary(imsi), imsi=imsi) for imsi in (IMSI, OTHER_IMSI)]
    world.pump()
    assert all(ue.outcome.ok for ue in ues)
    one, other = (ue.endpoint.nas.current.k_amf for ue in ues)
    assert one != other
    with pytest.raises(MacMismatch):
        world.ran_bearers[2, 1].unprotect(ues[0].bearers[1].protect(b"a packet"))


@pytest.mark.parametrize("nia", [Nia.NIA1, Nia.NIA3], ids=lambda item: item.name)
@pytest.mark.parametrize("nea", [Nea.NEA1, Nea.NEA3], ids=lambda item: item.name)
def test_the_keys_are_equal_with_every_algorithm(nea, nia):
    world, ue, _ = attached("provisioning, fake", nea=(nea,), nia=(nia,))
    assert ue.endpoint.nas.current.k_amf == world.cp_ue(ue).nas.current.k_amf
    assert world.ran_bearers[1, 1].unprotect(ue.bearers[1].protect(b"a packet")) == b"a packet"
    assert ue.bearers[1].unprotect(world.ran_bearers[1, 1].protect(b"a packet")) == b"a packet"


def test_every_attach_makes_keys_of_its_own(kind):
    world, ue, _ = attached(kind)
    first = ue.endpoint.nas.current.k_amf
    base = ue.endpoint.access.state.keys.k_gnb
    if "fake" in kind:
        # the fake's keys follow from its secret alone
        world.cp_engines = replace(world.cp_engines, certificate=fake_scheme.cp_side(secret=b"fresh"))
        ue.engines = replace(ue.engines, certificate=fake_scheme.ue_side(secret=b"fresh"))
    world.restart(ue)
    world.want(ue, KINDS[kind][0]())
    world.pump()
    assert ue.endpoint.nas.current.k_amf != first
    assert ue.endpoint.access.state.keys.k_gnb != base


def test_two_devices_of_one_pki_do_not_share_a_key():
    pki = shared_pki()
    world = World(certificates.cp_side(), certificates.ue_side())
    world.hold = lambda ask: isinstance(ask, act.Download)
    one = world.add_ue(provisioning())
    other = world.add_ue()
    other.engines = replace(other.engines, certificate=certificates.ue_side(pki.other_device))
    world.want(other, provisioning(OTHER_EID))
    world.pump()
    assert [world.state(ue) for ue in (one, other)] == ["AwaitDownload"] * 2
    assert one.endpoint.nas.current.k_amf != other.endpoint.nas.current.k_amf


# --- late answers -----------------------------------------------------------------------------------------------------


def late_complete(world, copies):
    """Hold the SecurityModeComplete back until the command was repeated, then let these copies of it through."""
    held, names = [], []

    def between(frame):
        if frame.link == "n2" and frame.up:
            header = decode_n2_frame(frame.octets).payload[0]
            if header == SecurityHeader.INTEGRITY_CIPHERED_NEW_CONTEXT and not names:
                held.append(frame)
                if len(held) < 3:
                    return []
                names.append("let go")
                return [held[copy] for copy in copies]
        return [frame]

    world.between = between


@pytest.mark.parametrize("copies", [(0, 1, 2), (0, 2), (1, 2), (2,), (1,), (2, 0, 1)])
def test_whichever_complete_arrives_both_sides_make_k_gnb_of_the_same_count(copies):
    world = World()
    late_complete(world, copies)
    ue = world.add_ue(ordinary())
    world.pump()
    while world.fire() and ue.outcome is None:
        pass
    assert ue.outcome.ok
    assert isinstance(ue.endpoint.access.state, Secured)
    state = world.ran_of(ue).machine.state
    assert ue.endpoint.access.state.keys.k_gnb == state.keys.k_gnb
    assert state.keys.k_gnb == k_gnb(world.cp_ue(ue).nas.current.k_amf, copies[0])


# --- never on the radio -----------------------------------------------------------------------------------------------


def test_no_key_crosses_the_radio(kind):
    world, ue, seen = attached(kind)
    keys = all_keys(world, ue, seen)
    world.held.clear()
    world.ue_event(ue, ev.DetachWanted())
    world.pump()
    radio = [bits(frame.octets) for frame in world.log if frame.link == "radio"]
    assert len(keys) == 10
    assert len(radio) > 15
    for name, octets in keys.items():
        for part in (octets, octets[:16], octets[-16:]):
            assert not any(bits(part) in frame for frame in radio), name


def test_only_k_gnb_goes_to_the_ran_and_no_identity(kind):
    world, ue, seen = attached(kind)
    keys = all_keys(world, ue, seen)
    base = keys.pop("K_gNB")
    n2 = [decode_n2_frame(frame.octets) for frame in world.log if frame.link == "n2"]
    assert sum(bits(base) in bits(frame.payload) for frame in n2) == 1
    for name, octets in keys.items():
        assert not any(bits(octets[:16]) in bits(frame.payload) for frame in n2), name
    control = [frame.payload for frame in n2 if frame.kind is N2Kind.CONTROL]
    requests = [world.link.decode(payload) for payload in control]
    assert sum(isinstance(message, InitialContextSetupRequest) for message in requests) == 1
    for identity in (EID.octets, str(EID).encode(), str(IMSI).encode()):
        assert not any(bits(identity) in bits(payload) for payload in control)


def test_no_key_is_in_what_is_taken_down(kind):
    world, ue, seen = attached(kind)
    text = "\n".join(repr(item) for item in world.items)
    for name, octets in all_keys(world, ue, seen).items():
        assert octets.hex() not in text, name
        assert repr(octets)[2:-1] not in text, name


def test_no_key_is_in_the_text_of_a_state(kind):
    world, ue, seen = attached(kind)
    texts = [
        repr(thing)
        for node in (ue.endpoint, world.ran_of(ue), world.cp_ue(ue))
        for thing in (node, getattr(node, "nas", node))
    ]
    for name, octets in all_keys(world, ue, seen).items():
        assert not any(octets.hex() in text or repr(octets)[2:-1] in text for text in texts), name


def test_a_bearer_without_protection_is_never_made():
    _, ue, _ = attached("ordinary, AKA")
    entity = data_bearer(1, 0, ue.endpoint.access.state.keys)
    pdu = entity.protect(b"plain text here")
    assert b"plain text here" not in pdu
    assert len(pdu) == 3 + len(b"plain text here") + 4


def test_a_dropped_context_is_erased_and_says_so():
    _, ue, _ = attached("ordinary, AKA")
    context = ue.endpoint.nas.current
    context.erase()
    with pytest.raises(Misuse):
        context.protect(b"x", SecurityHeader.INTEGRITY_CIPHERED)
