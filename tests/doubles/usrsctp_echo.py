"""A program: listens over libusrsctp at a free port, prints it, and sends back whatever comes, until it is killed."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from rprov.model.sctp import SctpListen
from rprov.transport.usrsctp import UserSctp

PROGRAM = Path(__file__)


async def echo(link):
    while (frame := await link.receive()) is not None:
        await link.send(frame.stream, frame.ppid, frame.payload)
    await link.close()


async def main():
    listener = await UserSctp(SctpListen(udp_port=0)).listen("127.0.0.1", 0, echo)
    print(listener.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
