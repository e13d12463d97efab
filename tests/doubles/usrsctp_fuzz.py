"""A program: real SCTP packets, changed at random but with the right checksum, into libusrsctp behind the filter.

Arguments: a seed, and how many packets. Prints how many of them were sane; what must not happen is a crash or a hang.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from doubles.sctp_packets import chunk, init, packet, parameter

from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport.link import LinkLost
from rprov.transport.usrsctp import UserSctp
from rprov.transport.usrsctp_carrier import Carrier
from rprov.transport.usrsctp_filter import sane
from rprov.transport.usrsctp_stack import stack

HOST = "127.0.0.1"
INVENTED = (
    init([parameter(5, bytes(4)), parameter(6, bytes(16)), parameter(0x8008, b"\xc1\x80\x82\xc0"), parameter(0xC000)]),
    init([parameter(7, bytes(100)), parameter(0x8002, bytes(32)), parameter(0x8004, b"\0\1")], kind=2),
    chunk(9, parameter(1, bytes(4)) + parameter(8, init())),
    chunk(6, parameter(12, b"why")),
    chunk(3, bytes(16)),
    chunk(7, bytes(4)),
    chunk(12, bytes(4)),
)
recorded = []
send = Carrier.send


def record(carrier, data, name):
    if len(recorded) < 200:
        recorded.append(data)
    send(carrier, data, name)


async def linked(transport, listener, accepted):
    here = await transport.connect(HOST, listener.port)
    there = await accepted.get()
    while there.peer != here.local:  # opened by one of our packets
        there = await accepted.get()
    return here, there


async def main():
    rng = random.Random(int(sys.argv[1]))
    Carrier.send = record
    accepted = asyncio.Queue()

    async def on_link(link):
        accepted.put_nowait(link)
        await link._gone.wait()

    transport = UserSctp(SctpListen(udp_port=0), SctpPeer(udp_port=0))
    listener = await transport.listen(HOST, 0, on_link)
    here, there = await linked(transport, listener, accepted)
    for octets in (1, 5000, 60000):
        await here.send(1, 1, bytes(octets))
        await there.receive()
        await there.send(1, 1, bytes(octets))
        await here.receive()
    below, taken, links = stack(), 0, 1
    for number in range(int(sys.argv[2])):
        if here._gone.is_set() or there._gone.is_set() or number % 5000 == 4999:
            here.abort()
            there.abort()
            here, there = await linked(transport, listener, accepted)
            links += 1
        target = rng.choice((here, there))
        source, destination, tag = (
            int.from_bytes(part) for part in (target._tag[:2], target._tag[2:4], target._tag[4:])
        )
        body = bytearray(rng.choice(recorded)[12:] if rng.random() < 0.5 else rng.choice(INVENTED))
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            body[rng.randrange(min(len(body), 64))] = rng.choice((0, 1, 2, 3, 4, 255, rng.randrange(256)))
        data = packet(b"", source, destination, 0 if body[0] == 1 else tag)[:8] + bytes(4) + bytes(body)
        data = data[:8] + below._checksum(data) + data[12:]
        if sane(data):
            taken += 1
            below._view[: len(data)] = data
            below.take(target._path.carrier, below._view[: len(data)], target._path.name)
            below.pump()
        if number % 200 == 0:
            await asyncio.sleep(0)
    print(taken, links, flush=True)
    os._exit(0)


try:
    asyncio.run(main())
except LinkLost as error:
    print(error)
