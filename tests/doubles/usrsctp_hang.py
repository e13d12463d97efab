"""A program: an association over libusrsctp, into which an INIT is sent that the library cannot bear.

Prints "up" when there is an association, and "alive" if it can still be used afterwards. With the argument "unguarded"
nothing keeps the packet from the library, and the program does not end.
"""

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from doubles.sctp_packets import HANGING, packet

from rprov.model.sctp import SctpListen, SctpPeer
from rprov.transport import usrsctp_carrier
from rprov.transport.usrsctp import UserSctp


async def main():
    if sys.argv[1:] == ["unguarded"]:
        usrsctp_carrier.sane = lambda _packet: True
    transport = UserSctp(SctpListen(udp_port=0), SctpPeer(udp_port=0))
    accepted = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def on_link(link):
        accepted.set_result(link)
        await over.wait()

    listener = await transport.listen("127.0.0.1", 0, on_link)
    here = await transport.connect("127.0.0.1", listener.port)
    there = await accepted
    print("up", flush=True)
    peer = there._path.carrier.address
    # From the peer's own address and ports. Its verification tag is not needed: that of an INIT is 0.
    here._path.carrier.socket.sendto(packet(HANGING, here.local.port, here.peer.port), tuple(peer))
    await here.send(1, 1, b"alive")
    print((await there.receive()).payload.decode(), flush=True)
    over.set()
    await listener.close()
    os._exit(0)


asyncio.run(main())
