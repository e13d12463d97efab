"""What a server says of session tickets when it starts: that it sends none, or those that its configuration wants."""

import logging

from rprov.crypto.tls_openssl import ticket_octets
from rprov.errors import EnvironmentLacks
from rprov.model.tls import TlsResumption


def say_tickets(log: logging.Logger, resumption: TlsResumption) -> None:
    """Say it; raises `EnvironmentLacks` where tickets are wanted and OpenSSL was told to send none."""
    octets = ticket_octets()
    if resumption.enabled and not octets:
        raise EnvironmentLacks(
            "eap_tls.resumption is enabled, and the file that OPENSSL_CONF names keeps OpenSSL from sending tickets: "
            "unset it, or give it NumTickets = 1"
        )
    if resumption.enabled:
        log.info("TLS 1.3: devices may resume within %d s of a full handshake", resumption.lifetime)
    elif octets:
        log.info("TLS 1.3: %d octets of useless session tickets leave with each 0x00 (OPENSSL_CONF)", octets)
    else:
        log.info("TLS 1.3: no session tickets")
