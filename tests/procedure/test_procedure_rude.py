"""Rude peers: repeat, reorder, replay, truncate, corrupt, reflect, answer twice; at every frame of a whole run.

Whatever happens to a frame: the attach goes through with equal keys, or it fails cleanly with a cause; nothing raises;
and another device, attached meanwhile, notices nothing.
"""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache

import pytest
from doubles import certificates, fake_scheme
from doubles.any_message import any_of
from doubles.samples import NAS
from doubles.world import CAPABILITY, OTHER_IMSI, InFlight, World, left_over, ordinary, provisioning, rewrite_plain
from hypothesis import given
from hypothesis import strategies as st

from rprov.causes import Cause
from rprov.model.identifiers import CpUeId, RanUeId
from rprov.model.report import Discarded
from rprov.procedure import actions as act
from rprov.procedure.endpoint import NasEndpoint
from rprov.security.envelope import SecurityHeader
from rprov.security.policy import Phase
from rprov.wire import messages as nas
from rprov.wire.link import N2Frame, N2Kind, decode_n2_frame
from rprov.wire.radio import SrbKind, encode_srb

HEADER = {"radio": 4, "n2": 9}


def flipped(octets: bytes, at: int, mask: int = 1) -> bytes:
    at %= len(octets)
    return octets[:at] + bytes((octets[at] ^ mask,)) + octets[at + 1 :]


# --- the table of rudeness --------------------------------------------------------------------------------------------


@dataclass
class Rude:
    """Does something to one frame of a run, and counts them all."""

    at: int
    how: Callable[["Rude", InFlight], list[InFlight]]
    seen: list[InFlight] = field(default_factory=list)
    later: list[tuple[int, InFlight]] = field(default_factory=list)
    done: bool = False

    def __call__(self, frame: InFlight) -> list[InFlight]:
        self.seen.append(frame)
        out = [frame]
        if len(self.seen) == self.at + 1:
            out, self.done = self.how(self, frame), True
        due = [kept for when, kept in self.later if when <= len(self.seen)]
        self.later = [(when, kept) for when, kept in self.later if when > len(self.seen)]
        return [*out, *due]

    def keep(self, frames: int, frame: InFlight) -> None:
        self.later.append((len(self.seen) + frames, frame))


def is_nas(frame: InFlight) -> bool:
    return frame.link == "radio" or decode_n2_frame(frame.octets).kind is not N2Kind.CONTROL


def payload_only(change: Callable[[bytes], bytes]) -> Callable[[Rude, InFlight], list[InFlight]]:
    """Change what a frame carries; N2 protects its own control messages, so there only NAS is changed."""

    def how(_rude: Rude, frame: InFlight) -> list[InFlight]:
        if not is_nas(frame):
            return [frame]
        size = HEADER[frame.link]
        return [replace(frame, octets=frame.octets[:size] + change(frame.octets[size:]))]

    return how


def repeat(_rude, frame):
    return [frame, frame]


def repeat_often(_rude, frame):
    return [frame] * 12


def replay_later(rude, frame):
    rude.keep(5, frame)
    return [frame]


def replay_much_later(rude, frame):
    rude.keep(30, frame)
    return [frame]


def overtaken(rude, frame):
    rude.keep(1, frame)
    return []


def delayed(rude, frame):
    rude.keep(4, frame)
    return []


def lost(_rude, _frame):
    return []


def replay_everything(rude, frame):
    same_way = [old for old in rude.seen if (old.link, old.up) == (frame.link, frame.up)]
    return [frame, *same_way]


def reflected(_rude, frame):
    return [frame, replace(frame, up=not frame.up)] if frame.link == "radio" else [frame]


def to_another(rude, frame):
    if frame.link != "radio":
        return [frame]
    # The other device of this world has the first connection.
    return [replace(frame, octets=(1).to_bytes(4) + frame.octets[4:], ue=0), frame]


RUDENESS: dict[str, Callable[[Rude, InFlight], list[InFlight]]] = {
    "repeated": repeat,
    "answered twelve times": repeat_often,
    "replayed later": replay_later,
    "replayed much later": replay_much_later,
    "overtaken": overtaken,
    "delayed": delayed,
    "lost": lost,
    "all replayed": replay_everything,
    "reflected": reflected,
    "sent to another device": to_another,
    "truncated by one": payload_only(lambda octets: octets[:-1]),
    "truncated to half": payload_only(lambda octets: octets[: len(octets) // 2]),
    "truncated to nothing": payload_only(lambda octets: b""),
    "prolonged": payload_only(lambda octets: octets + b"\0"),
    "first bit changed": payload_only(lambda octets: flipped(octets, 0, 0x80)),
    "type changed": payload_only(lambda octets: flipped(octets, 3)),
    "middle changed": payload_only(lambda octets: flipped(octets, len(octets) // 2)),
    "end changed": payload_only(lambda octets: flipped(octets, -1)),
    "all changed": payload_only(lambda octets: bytes(255 - octet for octet in octets)),
}


def meeting(rude, sides=fake_scheme, max_attempts=3):
    """Another device is attached; then the rude run of the first one."""
    world = World(sides.cp_side(), sides.ue_side())
    other = world.add_ue(ordinary(OTHER_IMSI), imsi=OTHER_IMSI)
    world.pump()
    assert other.outcome.ok
    other.outcome = None
    before = other.endpoint.nas.machine.state, other.endpoint.nas.current, world.cp_ue(other).nas.machine.state
    world.between = rude
    ue = world.add_ue(provisioning(), max_attempts=max_attempts)
    world.pump()
    world.fire_all()
    after = other.endpoint.nas.machine.state, other.endpoint.nas.current, world.cp_ue(other).nas.machine.state
    assert all(one is two for one, two in zip(before, after, strict=True)), "the other device"
    assert other.outcome is None
    assert works(world, other), "the other device"
    return world, ue


def works(world, ue) -> bool:
    """Whether both ends hold equal keys: what one protects the other reads, in both directions."""
    cp, ran = world.cp_ue(ue), world.ran_of(ue)
    mine, theirs = ue.bearers[1], world.ran_bearers[int(ran.ran_ue_id), 1]
    return (
        ue.endpoint.nas.current.k_amf == cp.nas.current.k_amf
        and theirs.unprotect(mine.protect(b"up")) == b"up"
        and mine.unprotect(theirs.protect(b"down")) == b"down"
    )


@lru_cache(maxsize=2)
def frames_of_a_run(sides) -> int:
    rude = Rude(-1, lost)
    world, ue = meeting(rude, sides)
    assert ue.outcome.ok
    assert works(world, ue)
    return len(rude.seen)


STRIDE = 1 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 3
"""Each kind of rudeness begins at another frame, so together they meet all of them."""


@pytest.mark.parametrize("name", RUDENESS)
def test_every_frame(name):
    ends = Counter()
    first = list(RUDENESS).index(name) % STRIDE
    for at in range(first, frames_of_a_run(fake_scheme), STRIDE):
        rude = Rude(at, RUDENESS[name])
        world, ue = meeting(rude)
        assert rude.done
        assert ue.outcome is not None, at
        ends[ue.outcome.cause] += 1
        if ue.outcome.ok:
            assert works(world, ue), at
            assert len(world.registered) == 2, at
        else:
            assert ue.outcome.cause is not Cause.NORMAL, at
            assert world.state(ue) == "Deregistered", at
            assert left_over(world, ue) == {}, at
        assert len(world.cps) == 1 + ue.outcome.ok, at
    assert ends[Cause.NORMAL] > sum(ends.values()) * 2 / 3, ends


@pytest.mark.parametrize("name", ["repeated", "overtaken", "lost", "truncated by one", "middle changed", "reflected"])
def test_every_other_frame_of_a_run_with_tls(name):
    for at in range(0, frames_of_a_run(certificates), 2 * STRIDE):
        world, ue = meeting(Rude(at, RUDENESS[name]), certificates)
        assert ue.outcome is not None, at
        assert works(world, ue) if ue.outcome.ok else left_over(world, ue) == {}, at


def test_everything_arrives_twice():
    world, ue = meeting(lambda frame: [frame, frame])
    assert ue.outcome.ok
    assert works(world, ue)
    reasons = {item.reason.partition(":")[0] for item in world.discards()}
    assert {"Replayed", "replayed"} <= reasons


def test_the_radio_twists_every_third_frame():
    twisted = Counter()

    def between(frame):
        twisted["frames"] += 1
        if frame.link == "radio" and twisted["frames"] % 3 == 0 and twisted["frames"] < 400:
            return [replace(frame, octets=flipped(frame.octets, twisted["frames"]))]
        return [frame]

    world, ue = meeting(between, max_attempts=5)
    assert ue.outcome is not None
    assert works(world, ue) if ue.outcome.ok else left_over(world, ue) == {}


# --- what NAS discards, message by message ----------------------------------------------------------------------------


def only_discarded(out) -> bool:
    return [type(action) for action in out] == [act.Report] and isinstance(out[0].item, Discarded)


@contextmanager
def before_each_protected_message(check):
    """Look at every protected PDU before its receiver does, and after."""
    receive = NasEndpoint.receive

    def looked_at(self, pdu, env):
        if pdu[0] == 0:
            return receive(self, pdu, env)
        check(self, pdu, lambda octets: receive(self, octets, env))
        out = receive(self, pdu, env)
        if self.tombstone is None:
            state = self.machine.state
            assert only_discarded(receive(self, pdu, env)), "replayed"
            assert self.machine.state is state
        return out

    NasEndpoint.receive = looked_at
    try:
        yield
    finally:
        NasEndpoint.receive = receive


def assert_discarded(endpoint, octets, receive):
    """Discarded, counted and traced, without an answer; nothing has changed."""
    state, current, beside, partial = (
        endpoint.machine.state,
        endpoint.current,
        endpoint.beside,
        endpoint.partial,
    )
    counted = endpoint.discarded.total()
    assert only_discarded(receive(octets)), octets.hex()
    assert endpoint.machine.state is state
    assert (endpoint.current, endpoint.beside, endpoint.partial) == (current, beside, partial)
    assert endpoint.discarded.total() == counted + 1


def run_provisioning(sides=fake_scheme):
    world = World(sides.cp_side(), sides.ue_side())
    ue = world.add_ue(provisioning())
    world.pump()
    assert ue.outcome.ok
    assert works(world, ue)
    return world


def test_a_bit_changed_anywhere_in_a_protected_message():
    looked = Counter()

    def check(endpoint, pdu, receive):
        looked[endpoint.side] += 1
        for at in range(len(pdu)):
            for bit in range(8):
                assert_discarded(endpoint, flipped(pdu, at, 1 << bit), receive)

    with before_each_protected_message(check):
        run_provisioning()
    assert min(looked.values()) >= 7


def test_a_protected_message_cut_or_prolonged_anywhere():
    def check(endpoint, pdu, receive):
        for size in range(len(pdu)):
            assert_discarded(endpoint, pdu[:size], receive)
        for tail in (b"\0", b"\xff" * 9000):
            assert_discarded(endpoint, pdu + tail, receive)

    with before_each_protected_message(check):
        run_provisioning()


def test_every_older_message_again_before_every_message():
    heard = {}

    def check(endpoint, pdu, receive):
        for older in heard.get(id(endpoint), []):
            assert_discarded(endpoint, older, receive)
        if endpoint.tombstone is None:
            heard.setdefault(id(endpoint), []).append(pdu)

    with before_each_protected_message(check):
        run_provisioning()


def test_messages_in_the_wrong_order():
    """A message that was overtaken is older than the last accepted one, and gone."""
    world = World()
    ue = world.add_ue(ordinary())
    world.pump()
    cp, mine = world.cp_ue(ue).nas, ue.endpoint.nas
    first, second = (mine._protected(nas.Status(Cause.PROTOCOL_ERROR)).pdu for _ in range(2))
    assert cp.receive(second, world.cp_env) != []
    assert_discarded(cp, first, lambda octets: cp.receive(octets, world.cp_env))
    assert cp.discarded["replayed"] == 1


def test_a_message_reflected_to_its_sender():
    world = World()
    ue = world.add_ue(ordinary())
    world.pump()
    for endpoint, env in ((ue.endpoint.nas, world.ue_env(ue)), (world.cp_ue(ue).nas, world.cp_env)):
        pdu = endpoint._protected(nas.Status(Cause.PROTOCOL_ERROR)).pdu
        assert_discarded(endpoint, pdu, lambda octets, e=endpoint, v=env: e.receive(octets, v))


def test_unprotected_where_protection_is_due():
    """Every message, plain, before every protected one of a run: none is listened to, none is answered."""
    codec = World().nas

    def check(endpoint, pdu, receive):
        for message in NAS.values():
            plain = b"\0" + codec.encode(message)
            if endpoint.machine.state.phase is Phase.SECURED:
                assert_discarded(endpoint, plain, receive)

    with before_each_protected_message(check):
        run_provisioning()


@pytest.mark.parametrize("header", [1, 3, 4, 5, 7, 0x7E, 0xFF])
def test_a_message_under_another_header(header):
    world = World()
    ue = world.add_ue(ordinary())
    world.pump()
    cp = world.cp_ue(ue).nas
    pdu = ue.endpoint.nas._protected(nas.Status(Cause.PROTOCOL_ERROR)).pdu
    assert pdu[0] == SecurityHeader.INTEGRITY_CIPHERED
    assert_discarded(cp, bytes((header,)) + pdu[1:], lambda octets: cp.receive(octets, world.cp_env))
    # The COUNT may be used up by it, but the next message is understood.
    after = ue.endpoint.nas._protected(nas.Status(Cause.PROTOCOL_ERROR)).pdu
    cp.receive(after, world.cp_env)
    assert cp.last_in.name == "Status"


def test_a_protected_message_that_says_nothing_is_answered_with_a_status():
    """Its sender holds the keys: it is told, and nothing changes."""
    world = World()
    ue = world.add_ue(ordinary())
    world.pump()
    cp = world.cp_ue(ue).nas
    state = cp.machine.state
    context = ue.endpoint.nas.current
    for junk in (b"\xff", b"\xff" * 40, b"\x13\x37"):
        out = cp.receive(context.protect(junk, SecurityHeader.INTEGRITY_CIPHERED), world.cp_env)
        assert out[0].name == "Status"
        assert cp.machine.state is state
        ue.endpoint.nas.receive(out[0].pdu, world.ue_env(ue))
        assert ue.endpoint.nas.last_in.name == "Status"


# --- answers that nobody asked for ------------------------------------------------------------------------------------


def test_an_attach_request_on_a_connection_that_has_a_context_is_not_listened_to():
    """A device that lost its context comes on a new connection; on this one, it is a stranger who speaks."""
    world = World()
    ue = world.add_ue(ordinary())
    world.pump()
    cp = world.cp_ue(ue).nas
    plain = b"\0" + world.nas.encode(nas.AttachRequest(nas.AttachType.INITIAL, next(iter(world.gutis)), 7, CAPABILITY))
    assert_discarded(cp, plain, lambda octets: cp.receive(octets, world.cp_env))


def test_a_rrc_setup_for_somebody_else_is_not_taken():
    world = World()

    def between(frame):
        if frame.link == "radio" and not frame.up and frame.octets[:4] == bytes(4):
            return [replace(frame, octets=flipped(frame.octets, 6, 0x10)), frame]
        return [frame]

    world.between = between
    ue = world.add_ue(ordinary())
    world.pump()
    assert ue.outcome.ok
    assert len(world.rans) == 1


@pytest.mark.parametrize("count", [1, 3, 10])
def test_a_stranger_who_answers_for_the_device_ends_that_attach_only(count):
    """Before there are keys anybody may fail an authentication; the device may come again."""
    world = World()
    lies = []

    def between(frame):
        if frame.link == "radio" and frame.up and frame.octets[:4] != bytes(4) and len(lies) < count:
            lies.append(frame)
            forged = nas.AuthenticationResponse(nas.AkaAnswer(bytes(16)))
            if frame.octets[5] == 1:  # the second PDU of a connection: its answer to the challenge
                return [rewrite_plain(world, frame, forged)]
        return [frame]

    world.between = between
    ue = world.add_ue(ordinary(), max_attempts=1)
    world.pump()
    if count == 1:
        assert ue.outcome.ok
    else:
        assert ue.outcome.cause is Cause.RES_MISMATCH
    world.between = lambda frame: [frame]
    world.fire_all()
    if count > 1:
        ue.outcome = None
        world.want(ue, ordinary())
        world.pump()
    assert ue.outcome.ok


# --- anything, anywhere -----------------------------------------------------------------------------------------------


def carried(link: str, up: bool, payload: bytes) -> InFlight:
    """A frame with the addresses of the first connection."""
    if link == "radio":
        return InFlight("radio", up, (1).to_bytes(4) + payload, 0 if not up else 1)
    return InFlight("n2", up, N2Frame(RanUeId(1), CpUeId(1000), N2Kind(payload[0] % 3), payload[1:]).encode(), 1)


def intrude(at: int, frame: InFlight) -> None:
    """Something strange in the middle of an attach: it may spoil the attach, but nothing raises and everything ends."""
    world = fake_world()
    ue = world.add_ue(provisioning(), max_attempts=2)
    world.pump_frames(at)
    world.deliver(replace(frame, ue=0))
    world.pump()
    world.fire_all()
    assert ue.outcome is not None
    assert works(world, ue) if ue.outcome.ok else left_over(world, ue) == {}


def fake_world() -> World:
    return World(fake_scheme.cp_side(), fake_scheme.ue_side())


moments = st.integers(0, 66)


@given(moments, st.sampled_from(["radio", "n2"]), st.booleans(), st.binary(min_size=2, max_size=60))
def test_any_octets(at, link, up, octets):
    intrude(at, carried(link, up, octets))


@given(moments, st.booleans(), any_of("nas"))
def test_any_unprotected_nas_message(at, up, message):
    pdu = b"\0" + World().nas.encode(message)
    intrude(at, carried("n2", up, b"\1" + pdu))


@given(moments, st.booleans(), st.booleans(), any_of("radio"), st.integers(0, 20))
def test_any_unprotected_rrc_message(at, up, cell, message, number):
    octets = World().radio.encode(message)
    pdu = number.to_bytes(2) + encode_srb(SrbKind.RRC, octets) + bytes(4)
    frame = InFlight("radio", up, bytes(4) + octets, 0) if cell else carried("radio", up, pdu)
    intrude(at, frame)


@given(moments, st.booleans(), any_of("link"))
def test_any_control_message_of_n2(at, up, message):
    world = fake_world()
    ue = world.add_ue(provisioning(), max_attempts=1)
    world.pump_frames(at)
    world.deliver(carried("n2", up, b"\0" + world.link.encode(message)))
    world.pump()
    world.fire_all()
    # Who speaks on N2 is trusted: it may end the attach in any way, or keep a place; but nothing raises.
    assert ue.outcome is not None
