"""The halves of a TCP connection on their own: what is kept of what came, and how much may be on its way."""

import random

from hypothesis import given
from hypothesis import strategies as st

from rprov.session.ip.congestion import MAX_RTO, MIN_RTO, NewReno, RetransmissionTimer
from rprov.session.ip.reassembly import Reassembly

MSS = 1000


def receiving(limit=10_000, begin=500):
    incoming = Reassembly(limit)
    incoming.begin(begin)
    incoming.advertise(0)
    return incoming


def test_only_what_touches_the_window_is_accepted():
    incoming = receiving()
    assert incoming.accepts(500, 0)
    assert incoming.accepts(10_500, 0)
    assert not incoming.accepts(499, 0)
    assert not incoming.accepts(10_501, 0)
    assert incoming.accepts(499, 2)
    assert incoming.accepts(10_499, 5)
    assert not incoming.accepts(499, 1)
    assert not incoming.accepts(10_500, 1)


def test_the_window_never_moves_back():
    incoming = receiving()
    incoming.put(500, bytes(6000), False)
    assert incoming.advertise(0) == 4000
    incoming.take(6000)
    assert incoming.advertise(0) == 10_000
    incoming.put(6500, bytes(9999), False)
    assert incoming.advertise(3) << 3 <= 1
    assert incoming.promised == 1


def test_pieces_that_came_too_early_are_bounded():
    incoming = receiving(limit=1_000_000)
    for offset in range(1, 4000, 2):
        incoming.put(500 + offset, b"x", False)
    assert len(incoming._pieces) == 512
    incoming.put(500, bytes(1025), False)  # fills all gaps between them
    assert incoming.next == 500 + 1025
    assert not incoming.gaps
    incoming = receiving(limit=1000)
    for offset in range(1, 900):
        incoming.put(500 + offset, bytes(100), False)  # all overlap
    assert incoming._held <= 1000


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 100)), max_size=60), st.integers(0, 2**32))
def test_whatever_order_pieces_come_in_they_make_one_text(pieces, seed):
    text = random.Random(seed).randbytes(400)
    incoming = receiving(limit=400, begin=0)
    for begin, size in pieces:
        if incoming.accepts(begin, size):
            incoming.put(begin, text[begin : begin + size], begin + size == 400)
    for begin in range(0, 400, 50):
        if incoming.accepts(begin, 50):
            incoming.put(begin, text[begin : begin + 50], begin == 350)
    assert incoming.take(1000) == text
    assert incoming.finished
    assert incoming.next == 401
    assert incoming._held == 0


def test_the_window_of_a_sender_grows_fast_then_slowly():
    reno = NewReno(MSS, limit=1_000_000, start=0)
    assert reno.window == 10 * MSS
    reno.acknowledged(2 * MSS, 2 * MSS, 8 * MSS)
    assert reno.window == 12 * MSS
    reno.acknowledged(50 * MSS, 52 * MSS, 0)
    assert reno.window == 20 * MSS  # no more than 8 segments for one acknowledgment
    reno.expired(0, 20 * MSS)
    for _ in range(100):
        reno.acknowledged(MSS, 30 * MSS, 0)
    assert 10 * MSS < reno.window < 20 * MSS  # beyond the threshold about one segment for each round trip


def test_a_time_out_begins_again_with_one_segment():
    reno = NewReno(MSS, limit=1_000_000, start=0)
    reno.expired(0, 10 * MSS)
    assert reno.window == MSS
    assert not any(reno.duplicate(5 * MSS, 10 * MSS) for _ in range(10))  # they tell of before the time-out


def test_three_duplicates_then_partial_acknowledgments_send_again():
    reno = NewReno(MSS, limit=1_000_000, start=0)
    assert [reno.duplicate(0, 10 * MSS) for _ in range(3)] == [False, False, True]
    assert reno.window == 5 * MSS + 3 * MSS
    assert not reno.duplicate(0, 10 * MSS)  # one more segment has left the network
    assert reno.window == 9 * MSS
    assert reno.acknowledged(4 * MSS, 4 * MSS, 6 * MSS)  # partial: the next one is lost too
    assert reno.window == 6 * MSS
    assert not reno.acknowledged(6 * MSS, 10 * MSS, 0)  # full
    assert not reno.recovering
    assert reno.window == 2 * MSS


def test_the_window_is_never_more_than_its_limit():
    reno = NewReno(MSS, limit=20 * MSS, start=0)
    for number in range(100):
        reno.acknowledged(8 * MSS, number * 8 * MSS, 0)
    assert reno.window == 20 * MSS


def test_the_time_out_follows_the_round_trips():
    timer = RetransmissionTimer()
    assert timer.rto == 1.0
    timer.measured(0.5)
    assert timer.rto == 0.5 + 4 * 0.25  # RFC 6298 2.2
    timer.measured(0.5)
    assert timer.rto == 0.5 + 4 * 0.1875  # 2.3
    for _ in range(100):
        timer.measured(0.001)
    assert timer.rto == MIN_RTO
    for _ in range(20):
        timer.expired()
    assert timer.rto == MAX_RTO
