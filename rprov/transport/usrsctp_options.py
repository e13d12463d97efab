"""What settings mean in options of a socket of libusrsctp. Knows no loop and no link."""

from rprov.model.sctp import SctpListen
from rprov.transport import usrsctp_library as sctp
from rprov.transport.link import MAX_STREAMS
from rprov.transport.usrsctp_library import Event, Library, Option

BUFFER = 256 * 1024
"""Octets that the library holds for an association, each way; a message must fit into it."""


def configure(library: Library, handle: int, settings: SctpListen, room: int, path: int = 0, port: int = 0) -> None:
    """Set everything that the settings say, and how much fits into a packet; raises `OSError`.

    A path and the peer's port are named for a socket that has an association already.
    """
    heartbeat, initial, shortest, longest = (
        max(1, round(seconds * 1000))
        for seconds in (settings.heartbeat, settings.rto_initial, settings.rto_min, settings.rto_max)
    )
    address = sctp.sockaddr(path, port) if path else b""
    values = (
        (Option.NODELAY, sctp.switch(1)),
        (Option.RECVRCVINFO, sctp.switch(1)),
        (Option.RTOINFO, sctp.rtoinfo(initial, longest, shortest)),
        (Option.ASSOCINFO, sctp.associnfo(settings.retransmissions)),
        (Option.PEER_ADDR_PARAMS, sctp.path_parameters(address, heartbeat, settings.path_retransmissions, room)),
        (Option.INITMSG, sctp.initmsg(MAX_STREAMS, settings.max_init, longest)),
        *((Option.EVENT, sctp.event(event)) for event in Event),
    )
    for option, value in values:
        library.option(handle, option, value)
    library.buffers(handle, BUFFER)
