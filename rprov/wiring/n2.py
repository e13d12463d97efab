"""How N2 is protected: the certificates of a CP or a RAN as its files say, read again on SIGHUP.

Who is let in is decided in `crypto/x509_nodes.py`, how handshakes run in `transport/tls.py`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from cryptography.x509 import Certificate

from rprov.crypto.tls_context import Side, TlsContext
from rprov.crypto.x509_crl import Revocations
from rprov.crypto.x509_network import dns_names
from rprov.crypto.x509_nodes import check_cp, check_ran, ran_certificate_name
from rprov.errors import ConfigError
from rprov.model.identifiers import Plmn
from rprov.model.n2 import N2ClientTls, N2ServerTls
from rprov.model.settings import CpSettings, RanSettings
from rprov.store.crl import load_revocations
from rprov.store.pki import load_anchors
from rprov.transport.link import Transport
from rprov.transport.tls import TlsTransport
from rprov.transport.tls_link import TlsParty
from rprov.wiring.node import credentials

Check = Callable[[Certificate, Sequence[Certificate], Sequence[Certificate], Revocations, datetime], None]
"""(leaf, others, anchors, revocations, at); raises `Refused`."""

Reading = Callable[[], None]
"""What was read comes into use when it is called."""


class N2Protection:
    """N2 as a transport, and how its certificates are exchanged; without TLS, the transport as it was given."""

    def __init__(
        self,
        below: Transport,
        side: Side,
        tls: N2ServerTls | N2ClientTls | None,
        check: Check,
        own_name: str | None = None,
    ) -> None:
        """Read the files; raises `ConfigError`. Whoever goes by `own_name` needs a certificate of that name."""
        self._tls = tls
        self._side = side
        self._check = check
        self._own_name = own_name
        self._party: TlsParty
        self._protected: TlsTransport | None = None
        if tls is not None:
            self.read()()
            self._protected = TlsTransport(
                below,
                server=self._current if side is Side.SERVER else None,
                client=self._current if side is Side.CLIENT else None,
                handshake_seconds=tls.handshake_seconds,
                half_open=tls.half_open if isinstance(tls, N2ServerTls) else 1,
            )
        self.transport: Transport = self._protected or below

    def read(self) -> Reading:
        """Read the files anew; raises `ConfigError`, and then everything stays as it was."""
        tls, check = self._tls, self._check
        if tls is None:
            return lambda: None
        given = credentials(tls.certificate)
        names = [name.lower() for name in dns_names(given.chain[0])]
        if self._own_name is not None and self._own_name not in names:
            raise ConfigError(f"{tls.certificate.chain}: names {', '.join(names) or 'nobody'}, not {self._own_name}")
        anchors = load_anchors(tls.anchors)
        revocations = load_revocations(tls.crls, anchors, datetime.now(UTC), required=tls.require_crl)
        party = TlsParty(
            TlsContext(self._side, given, anchors),
            lambda leaf, others: check(leaf, others, anchors, revocations, datetime.now(UTC)),
        )

        def use() -> None:
            self._party = party
            if self._protected is not None:
                self._protected.judge_again()

        return use

    def _current(self) -> TlsParty:
        return self._party


def cp_protection(settings: CpSettings, below: Transport) -> N2Protection:
    """A CP lets RANs of its network in."""
    plmn: Plmn = settings.plmn
    return N2Protection(
        below,
        Side.SERVER,
        settings.n2.tls,
        lambda leaf, others, anchors, revocations, at: check_ran(leaf, others, anchors, plmn, revocations, at),
    )


def ran_protection(settings: RanSettings, below: Transport) -> N2Protection:
    """A RAN believes the CP of its network."""
    tls = settings.cp.tls
    name = settings.plmn.cp_name if tls is None or tls.server_name is None else tls.server_name
    return N2Protection(
        below,
        Side.CLIENT,
        tls,
        lambda leaf, others, anchors, revocations, at: check_cp(leaf, others, anchors, name, revocations, at),
        ran_certificate_name(settings.name, settings.plmn),
    )
