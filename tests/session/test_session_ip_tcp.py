"""Two stacks talk over a network that loses, repeats, reorders and breaks packets; what arrives is what was sent."""

import heapq
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprov.errors import Misuse
from rprov.session.ip.icmp import decode_unreachable, encode_unreachable
from rprov.session.ip.packet import decode_ipv4
from rprov.session.ip.segment import (
    Flag,
    SegmentWriter,
    decode_segment,
    decode_syn_options,
    encode_syn_options,
    unwrap,
)
from rprov.session.ip.states import Failure, State, TcpLimits
from rprov.session.ip.tcp import TcpStack

UE = bytes((10, 45, 0, 2))
SERVER = bytes((198, 51, 100, 7))
PORT = 443


class Network:
    """Two stacks, a clock, and what lies between them. `tamper(packet)` gives the packets that arrive and delays."""

    def __init__(self, seed=0, limits=None, mtu=1400, tamper=None, server_mtu=None):
        self.random = random.Random(seed)
        self.now = 1000.0
        self.ue = TcpStack(self.random.randbytes, mtu=mtu, limits=limits)
        self.server = TcpStack(self.random.randbytes, mtu=server_mtu or mtu, limits=limits)
        self.server.listen(lambda address, port: (address, port) == (SERVER, PORT))
        self.tamper = tamper or (lambda packet: [(0.001, packet)])
        self.flying = []
        self.count = 0
        self.accept = True
        self.served = []
        self.log = []

    def move(self):
        """Take what the stacks have to send; let the server accept."""
        for source, target in ((self.ue, self.server), (self.server, self.ue)):
            for packet in source.output():
                self.log.append((self.now, source is self.ue, decode_segment(packet)))
                for delay, arriving in self.tamper(packet):
                    self.count += 1
                    heapq.heappush(self.flying, (self.now + delay, self.count, target, arriving))
        for connection in self.server.take_incoming():
            if self.accept:
                connection.accept(self.now)
            else:
                connection.abort()
            self.served.append(connection)
        self.ue.take_changed()
        self.server.take_changed()

    def step(self):
        """Go to the next thing that happens; says whether there was one."""
        self.move()
        self.move()
        deadlines = [d for d in (self.ue.next_deadline(), self.server.next_deadline()) if d is not None]
        if self.flying and (not deadlines or self.flying[0][0] <= min(deadlines)):
            self.now, _, target, packet = heapq.heappop(self.flying)
            target.receive(packet, self.now)
        elif deadlines:
            self.now = max(self.now, min(deadlines))
            self.ue.poll(self.now)
            self.server.poll(self.now)
        else:
            return False
        return True

    def run(self, until=lambda: False, steps=200_000):
        for _ in range(steps):
            if until() or not self.step():
                return
        raise AssertionError("the network never came to rest")

    def open(self):
        client = self.ue.connect(UE, SERVER, PORT, self.now)
        self.run(lambda: not client.opening and self.served and not self.served[-1].opening)
        assert client.state is State.ESTABLISHED
        return client, self.served[-1]


def rude(rng, loss, duplicates, disorder, corruption):
    """A network that does each of these with its probability."""

    def tamper(packet):
        copies = []
        for _ in range(1 + (rng.random() < duplicates)):
            if rng.random() < loss:
                continue
            copy = packet
            if rng.random() < corruption:
                place = rng.randrange(len(packet))
                copy = packet[:place] + bytes((packet[place] ^ 1 << rng.randrange(8),)) + packet[place + 1 :]
            copies.append((0.001 + (rng.random() * 0.02 if rng.random() < disorder else 0), copy))
        return copies

    return tamper


class User:
    """Sends `data` in odd portions, reads in odd portions, closes its half when done."""

    def __init__(self, connection, data, rng, network):
        self.connection, self.data, self.rng, self.network = connection, data, rng, network
        self.sent = 0
        self.got = bytearray()
        self.done_sending = False

    def act(self):
        if self.rng.random() < 0.7:
            size = self.rng.choice((1, 100, 5000, 70_000))
            self.sent += self.connection.write(self.data[self.sent : self.sent + size], self.network.now)
        if self.sent == len(self.data) and not self.done_sending:
            self.connection.shutdown(self.network.now)
            self.done_sending = True
        if self.rng.random() < 0.7:
            self.got += self.connection.read(self.rng.choice((1, 700, 65536)))

    @property
    def finished(self):
        return self.done_sending and self.connection.ended


def exchange(network, client, server, up, down):
    rng = network.random
    ends = [User(client, up, rng, network), User(server, down, rng, network)]

    for _ in range(100_000):
        for end in ends:
            end.act()
        if all(end.finished for end in ends):
            break
        network.step()
    assert client.failure is None
    assert server.failure is None
    assert bytes(ends[0].got) == down
    assert bytes(ends[1].got) == up
    client.close(network.now)
    server.close(network.now)
    network.run()
    assert network.ue.connections == network.server.connections == 0


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_network_does_each_side_gets_what_the_other_sent(seed):
    rng = random.Random(seed)
    sizes = (500, 5000, 50_000, 131_072)
    # With TIME_WAIT as short as it is by default a FIN whose ACKs were all lost may meet a side that has forgotten.
    limits = TcpLimits(send_octets=rng.choice(sizes), receive_octets=rng.choice(sizes), time_wait=120.0)
    mtus = (576, 1400, 9000)
    network = Network(seed, limits=limits, mtu=rng.choice(mtus), server_mtu=rng.choice(mtus))
    network.tamper = rude(rng, loss=rng.random() / 10, duplicates=0.05, disorder=0.2, corruption=0.03)
    client, server = network.open()
    exchange(network, client, server, rng.randbytes(rng.randrange(60_000)), rng.randbytes(rng.randrange(60_000)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 300))
def test_whatever_the_network_does_in_many_trials(seed):
    test_whatever_the_network_does_each_side_gets_what_the_other_sent(seed)


@pytest.mark.parametrize("octets", [1, 700, 3000])
def test_tiny_buffers_close_and_open_the_window(octets):
    limits = TcpLimits(send_octets=octets, receive_octets=octets)
    network = Network(3, limits=limits, tamper=rude(random.Random(5), 0.02, 0.02, 0.1, 0.0))
    client, server = network.open()
    data = random.Random(1).randbytes(200 if octets == 1 else 20_000)
    exchange(network, client, server, data, data[::-1])


def test_a_reader_that_sleeps_stops_the_writer_and_wakes_it():
    network = Network(limits=TcpLimits(send_octets=50_000, receive_octets=20_000))
    client, server = network.open()
    assert client.write(bytes(50_000), network.now) == 50_000
    start = network.now
    network.run(lambda: network.now > start + 300)  # probes of the closed window go on: no failure after 100 s
    assert client.failure is None
    assert len(server.read(1_000_000)) <= 20_000 + 1
    got = 0
    while got < 30_000 - 1:
        network.run(lambda: server.readable or server.failure)
        got += len(server.read(1_000_000))
    assert client.room == 50_000 or network.run(lambda: client.room == 50_000) is None


def test_one_lost_segment_is_sent_again_without_waiting_for_the_timer():
    network = Network()
    client, server = network.open()
    lost = []

    def tamper(packet):
        if not lost and len(packet) == 1400:
            lost.append(packet)
            return []
        return [(0.001, packet)]

    network.tamper = tamper
    data = random.Random(2).randbytes(14_000)
    client.write(data, network.now)
    start = network.now
    got = bytearray()
    network.run(lambda: got.extend(server.read(65536)) or len(got) == len(data))
    assert bytes(got) == data
    assert network.now - start < 0.1  # the timer would have taken at least 0.2 s


def test_after_a_time_out_one_segment_goes_first():
    network = Network()
    client, _ = network.open()
    network.tamper = lambda packet: []
    client.write(bytes(13_600), network.now)
    network.move()
    sent = len(network.log)
    assert [len(segment.payload) for _, _, segment in network.log[-10:]] == [1360] * 10
    network.run(lambda: len(network.log) > sent + 2)
    again = network.log[sent:]
    assert [later - earlier for (earlier, *_), (later, *_) in itertools.pairwise(again)] == pytest.approx([0.4, 0.8])
    assert {segment.sequence for _, _, segment in again} == {client._sender.una & 0xFFFFFFFF}


def test_refused_connections_end_at_once():
    network = Network()
    network.accept = False
    client = network.ue.connect(UE, SERVER, PORT, network.now)
    network.run()
    assert client.failure is Failure.REFUSED
    other = network.ue.connect(UE, SERVER, PORT + 1, network.now)
    network.run()
    assert other.failure is Failure.REFUSED
    assert network.ue.connections == network.server.connections == 0


def test_nobody_answers():
    network = Network(tamper=lambda packet: [])
    client = network.ue.connect(UE, SERVER, PORT, network.now)
    start = network.now
    network.run()
    assert client.failure is Failure.TIMED_OUT
    assert 30 <= network.now - start <= 100
    assert network.ue.connections == 0


def test_a_peer_that_vanishes_is_given_up():
    network = Network()
    client, server = network.open()
    network.tamper = lambda packet: []
    client.write(b"are you there", network.now)
    network.run()
    assert client.failure is Failure.TIMED_OUT
    server.abort()
    network.move()
    assert network.server.connections == 0


def test_abort_resets_the_other_side():
    network = Network()
    client, server = network.open()
    client.abort()
    network.run()
    assert server.failure is Failure.RESET
    assert network.ue.connections == network.server.connections == 0


def test_closing_with_unread_data_resets():
    network = Network()
    client, server = network.open()
    server.write(b"never read", network.now)
    network.run(lambda: client.readable)
    client.close(network.now)
    network.run()
    assert server.failure is Failure.RESET


def test_data_for_a_closed_connection_resets():
    network = Network()
    client, server = network.open()
    client.close(network.now)
    network.run(lambda: server.ended)
    server.write(b"too late", network.now)
    network.run()
    assert server.failure is Failure.RESET
    assert network.ue.connections == network.server.connections == 0


def test_a_half_closed_connection_still_carries_the_other_half():
    network = Network()
    client, server = network.open()
    client.shutdown(network.now)
    network.run(lambda: server.ended)
    assert client.write(b"x", network.now) == 0
    server.write(b"answer", network.now)
    network.run(lambda: client.readable)
    assert client.read(100) == b"answer"
    assert not client.ended
    server.close(network.now)
    network.run(lambda: client.ended)
    client.close(network.now)
    network.run()
    assert network.ue.connections == network.server.connections == 0


def test_the_side_that_never_closes_does_not_keep_the_other():
    network = Network()
    client, server = network.open()
    start = network.now
    client.close(network.now)
    network.run()
    assert network.ue.connections == 0
    assert network.now - start >= 5
    assert server.state is State.CLOSE_WAIT


def test_time_wait_answers_a_repeated_fin_and_then_forgets():
    network = Network()
    client, server = network.open()
    client.shutdown(network.now)
    network.run(lambda: server.ended)
    server.close(network.now)
    lost = []
    network.tamper = lambda packet: (
        lost.append(packet) or [] if len(lost) < 1 and packet[33] & Flag.FIN else [(0.001, packet)]
    )
    network.run(lambda: client.state is State.TIME_WAIT)
    network.run()
    assert client.failure is server.failure is None
    assert network.ue.connections == network.server.connections == 0


def writer_of(client):
    local, port, remote, remote_port = client.flow
    return SegmentWriter(remote, remote_port, local, port)


def test_a_reset_that_was_guessed_only_gets_a_challenge():
    network = Network()
    client, server = network.open()
    ours = server._sender.nxt
    forge = writer_of(client)
    network.ue.receive(forge.write(ours + 5, 0, Flag.RST, 0), network.now)
    (challenge,) = network.ue.output()
    assert decode_segment(challenge).flags == Flag.ACK
    network.ue.receive(forge.write(ours + 5, 0, Flag.RST, 0), network.now)
    assert network.ue.output() == []  # not again so soon
    assert client.state is State.ESTABLISHED
    network.ue.receive(forge.write(ours + 10_000_000, 0, Flag.RST, 0), network.now)
    assert client.state is State.ESTABLISHED
    network.ue.receive(forge.write(ours, 0, Flag.RST, 0), network.now)
    assert client.failure is Failure.RESET


def test_a_repeated_fin_begins_time_wait_again():
    network = Network()
    client, server = network.open()
    client.shutdown(network.now)
    network.run(lambda: server.ended)
    server.close(network.now)
    network.run(lambda: client.state is State.TIME_WAIT)
    network.ue.output()
    fin = writer_of(client).write(client._incoming.next - 1, client._sender.una, Flag.FIN | Flag.ACK, 1000)
    for _ in range(5):
        network.now += 0.9
        network.ue.poll(network.now)
        network.ue.receive(fin, network.now)
        assert [decode_segment(packet).flags for packet in network.ue.output()] == [Flag.ACK]
    network.now += 1.1
    network.ue.poll(network.now)
    assert client.state is State.CLOSED


def test_a_reset_for_a_late_segment_does_not_spoil_what_ended_well():
    network = Network()
    client, server = network.open()
    client.shutdown(network.now)
    network.run(lambda: server.ended)
    server.close(network.now)
    network.run(lambda: client.state is State.TIME_WAIT)
    network.ue.receive(writer_of(client).write(client._incoming.next, 0, Flag.RST, 0), network.now)
    assert client.state is State.TIME_WAIT
    assert client.failure is None


def test_two_sides_that_both_went_back_still_hear_each_other():
    network = Network()
    client, server = network.open()
    network.run()
    for end in (client, server):
        end.write(bytes(3000), network.now)
    arrived = iter([True, True, True, True])  # all first segments arrive, all their acknowledgments are lost
    network.tamper = lambda packet: [(0.001, packet)] if len(packet) > 40 and next(arrived, False) else []
    network.run(lambda: network.now > 1001.5)
    network.tamper = lambda packet: [(0.001, packet)]
    start = network.now
    network.run(lambda: client._sender.in_flight == server._sender.in_flight == 0)
    assert network.now - start < 5


def test_a_syn_inside_a_connection_changes_nothing():
    network = Network()
    client, server = network.open()
    forge = writer_of(client)
    network.ue.receive(forge.write(server._sender.nxt, 0, Flag.SYN, 1000), network.now)
    assert client.state is State.ESTABLISHED
    assert [decode_segment(p).flags for p in network.ue.output()] == [Flag.ACK]


def test_an_acknowledgment_of_what_was_never_sent_changes_nothing():
    network = Network()
    client, server = network.open()
    forge = writer_of(client)
    network.ue.receive(forge.write(server._sender.nxt, client._sender.nxt + 1000, Flag.ACK, 1000, b"evil"), network.now)
    assert client.state is State.ESTABLISHED
    assert not client.readable


def test_text_beyond_the_window_is_not_kept():
    network = Network(limits=TcpLimits(receive_octets=1000))
    client, server = network.open()
    forge = writer_of(client)
    begin = server._sender.nxt
    network.ue.receive(forge.write(begin, client._sender.nxt, Flag.ACK, 1000, bytes(1300)), network.now)
    assert len(client.read(65536)) == 1000
    for offset in range(1, 3000, 2):  # single octets, each leaving a gap
        network.ue.receive(forge.write(begin + 1000 + offset, client._sender.nxt, Flag.ACK, 1000, b"x"), network.now)
    assert len(client._incoming._pieces) <= 500


def test_a_fin_beyond_later_text_ends_there():
    network = Network()
    client, server = network.open()
    forge = writer_of(client)
    begin, ack = server._sender.nxt, client._sender.nxt
    network.ue.receive(forge.write(begin + 5, ack, Flag.ACK | Flag.FIN, 1000), network.now)
    network.ue.receive(forge.write(begin, ack, Flag.ACK, 1000, b"12345 and more"), network.now)
    assert client.read(100) == b"12345"
    assert client.ended


def test_an_icmp_error_ends_a_connection_that_is_opening_and_no_other():
    network = Network(tamper=lambda packet: [])
    client = network.ue.connect(UE, SERVER, PORT, network.now)
    (syn,) = network.ue.output()
    error = decode_unreachable(decode_ipv4(encode_unreachable(bytes((10, 45, 0, 1)), syn)))
    network.ue.unreachable(error._replace(sequence=error.sequence + 1))  # somebody who guesses
    network.ue.unreachable(error._replace(protocol=17))
    network.ue.unreachable(error._replace(local_port=1))
    assert client.state is State.SYN_SENT
    network.ue.unreachable(error)
    assert client.failure is Failure.PROHIBITED

    network = Network()
    client, _ = network.open()
    network.ue.unreachable(error._replace(local_port=client.flow[1], sequence=client._sender.una & 0xFFFFFFFF))
    assert client.state is State.ESTABLISHED


def test_other_icmp_codes_say_unreachable():
    network = Network()
    client = network.ue.connect(UE, SERVER, PORT, network.now)
    (syn,) = network.ue.output()
    network.ue.unreachable(decode_unreachable(decode_ipv4(encode_unreachable(bytes((10, 45, 0, 1)), syn, 1))))
    assert client.failure is Failure.UNREACHABLE


def test_connections_are_bounded_on_both_sides():
    network = Network(limits=TcpLimits(connections=3, half_open=2))
    for _ in range(3):
        network.ue.connect(UE, SERVER, PORT, network.now)
    with pytest.raises(Misuse):
        network.ue.connect(UE, SERVER, PORT, network.now)
    syns = network.ue.output()
    for packet in syns:
        network.server.receive(packet, network.now)
    assert network.server.connections == 2
    assert [decode_segment(p).flags for p in network.server.output()] == [Flag.RST | Flag.ACK]
    network.server.receive(syns[0], network.now)  # repeated while it is pending: one connection still
    assert len(network.server.take_incoming()) == 2
    network.server.abort_all()
    network.server.take_changed()
    assert network.server.connections == 0


def test_a_pending_connection_that_is_reset_is_forgotten():
    network = Network()
    network.ue.connect(UE, SERVER, PORT, network.now)
    (syn,) = network.ue.output()
    network.server.receive(syn, network.now)
    segment = decode_segment(syn)
    forge = SegmentWriter(UE, segment.source_port, SERVER, PORT)
    network.server.receive(forge.write(segment.sequence + 7, 0, Flag.RST, 0), network.now)
    assert network.server.connections == 1
    network.server.receive(forge.write(segment.sequence + 1, 0, Flag.RST, 0), network.now)
    network.server.take_changed()
    assert network.server.connections == 0
    assert network.server.take_incoming() == []


def test_segments_for_no_connection_are_reset_but_never_a_reset():
    stack = TcpStack(random.Random(0).randbytes)
    forge = SegmentWriter(UE, 1, SERVER, 2)
    stack.receive(forge.write(7, 99, Flag.ACK, 0, b"abc"), 0.0)
    stack.receive(forge.write(7, 0, Flag.FIN, 0, b"abc"), 0.0)
    stack.receive(forge.write(7, 99, Flag.RST, 0), 0.0)
    first, second = map(decode_segment, stack.output())
    assert (first.flags, first.sequence) == (Flag.RST, 99)
    assert (second.flags, second.acknowledgment) == (Flag.RST | Flag.ACK, 7 + 4)


def test_sequence_numbers_wrap():
    network = Network()
    network.ue._entropy = network.server._entropy = lambda n: b"\xff" * n
    client, server = network.open()
    assert client._sender.una == 1 << 32
    exchange(network, client, server, bytes(30_000), bytes(range(256)) * 100)


@pytest.mark.parametrize(("mtu", "server_mtu", "expected"), [(1400, 576, 536), (576, 1400, 536), (9000, 9000, 8960)])
def test_no_segment_is_larger_than_both_sides_want(mtu, server_mtu, expected):
    network = Network(mtu=mtu, server_mtu=server_mtu)
    client, server = network.open()
    exchange(network, client, server, bytes(40_000), bytes(40_000))
    assert max(len(segment.payload) for _, _, segment in network.log) == expected


def test_a_peer_without_window_scaling_is_not_scaled():
    network = Network()
    client = network.ue.connect(UE, SERVER, PORT, network.now)
    (syn,) = network.ue.output()
    read = decode_segment(syn)
    forge = SegmentWriter(SERVER, PORT, UE, read.source_port)
    options = encode_syn_options(1000, None)
    answer = forge.write(5, read.sequence + 1, Flag.SYN | Flag.ACK, 3000, b"", options)
    network.ue.receive(answer, network.now)
    (ack,) = network.ue.output()
    assert decode_segment(ack).window == 0xFFFF
    client.write(bytes(20_000), network.now)
    assert sum(len(decode_segment(p).payload) for p in network.ue.output()) == 3000


@given(st.binary(max_size=60))
def test_any_octets_as_options_give_a_segment_size(options):
    read = decode_syn_options(options)
    assert 0 <= read.mss <= 65535
    assert read.scale is None or 0 <= read.scale <= 14


@given(st.integers(0, 1 << 70), st.integers(-(1 << 31), (1 << 31) - 1))
def test_unwrap_finds_the_near_number(near, distance):
    assert unwrap((near + distance) & 0xFFFFFFFF, near) == near + distance


@given(st.binary(max_size=100))
def test_any_octets_are_a_segment_or_dropped(octets):
    stack = TcpStack(random.Random(0).randbytes)
    stack.receive(octets, 0.0)
    assert stack.malformed == 1


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-3000, 3000),
            st.integers(-3000, 3000),
            st.integers(0, 63),
            st.integers(0, 65535),
            st.integers(0, 1500),
        ),
        max_size=40,
    ),
    st.sampled_from(["open", "closed", "half"]),
)
def test_a_peer_that_says_anything_breaks_nothing(segments, stage):
    limits = TcpLimits(receive_octets=5000, send_octets=5000)
    network = Network(limits=limits)
    client, server = network.open()
    client.write(bytes(3000), network.now)
    if stage == "closed":
        client.close(network.now)
    if stage == "half":
        client.shutdown(network.now)
    forge = writer_of(client)
    sequence, acknowledgment = server._sender.nxt, client._sender.nxt
    for seq, ack, flags, window, size in segments:
        network.now += 0.01
        network.ue.receive(forge.write(sequence + seq, acknowledgment + ack, flags, window, bytes(size)), network.now)
        network.ue.poll(network.now)
        assert len(network.ue.output()) < 50
        assert len(client._incoming.ready) <= 5000
        network.ue.take_changed()
    client.abort()
    network.ue.take_changed()
    assert network.ue.connections == 0
