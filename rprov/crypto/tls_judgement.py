"""How a peer's certificate is judged in the middle of the handshake, so that a refusal leaves as a TLS alert.

Owns what OpenSSL's verification complains about and which alert each refusal becomes. It does not decide who is
trusted: a `Judge` does. Knows neither a connection nor a flight.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from types import MappingProxyType

from cryptography import x509

from rprov.causes import Cause
from rprov.crypto.x509_path import Verified, parse_certificate
from rprov.errors import DecodeError, Refused


class _X509(IntEnum):
    """Error numbers of OpenSSL's certificate verification (X509_V_ERR_…); each becomes its own TLS alert."""

    NOT_YET_VALID = 9
    EXPIRED = 10
    NO_ISSUER = 20
    REVOKED = 23
    INVALID_PURPOSE = 26
    REJECTED = 28
    PERMITTED_VIOLATION = 47
    """What OpenSSL makes of the nameConstraints of SGP.22, which mean a prefix."""


_JUDGED_BY_US = frozenset({_X509.NOT_YET_VALID, _X509.EXPIRED})
"""Dates as OpenSSL's own clock sees them; the judge has the time that it was given."""

_ALERTS: Mapping[Cause, int] = MappingProxyType(
    {
        Cause.UNKNOWN_CI: _X509.NO_ISSUER,
        Cause.CERTIFICATE_EXPIRED: _X509.EXPIRED,
        Cause.CERTIFICATE_NOT_YET_VALID: _X509.NOT_YET_VALID,
        Cause.CERTIFICATE_REVOKED: _X509.REVOKED,
        Cause.WRONG_CERTIFICATE_ROLE: _X509.INVALID_PURPOSE,
        Cause.NETWORK_ANCHOR_UNKNOWN: _X509.NO_ISSUER,
        Cause.NETWORK_CERTIFICATE_EXPIRED: _X509.EXPIRED,
        Cause.NETWORK_CERTIFICATE_NOT_YET_VALID: _X509.NOT_YET_VALID,
        Cause.NETWORK_ROLE_FORBIDDEN: _X509.INVALID_PURPOSE,
    }
)
"""What OpenSSL is told; RFC 8446 6.2: unknown_ca, certificate_expired, …; bad_certificate for the rest."""

Again = Callable[[x509.Certificate], None]
"""Decides on a peer that resumes, by the certificate of its full handshake; raises `Refused`."""

Judge = Callable[[x509.Certificate, Sequence[x509.Certificate]], None]
"""Decides on the peer's certificate (leaf, the others it sent); raises `Refused`."""


StatusJudge = Callable[[bytes], None]
"""Decides on the OCSP response that a server has stapled, DER, or b"" where there is none; raises `Refused`."""


@lru_cache(maxsize=256)
def _parse_issuer(der: bytes) -> x509.Certificate:
    """Parse a CA certificate; many devices share one."""
    return parse_certificate(der)


class Judgement:
    """One peer's certificate before one judge."""

    __slots__ = (
        "__weakref__",
        "_complaints",
        "_invalid",
        "_judge",
        "_judge_status",
        "passed",
        "peer",
        "staple",
        "status_passed",
        "verdict",
    )

    def __init__(
        self, judge: Judge, invalid: Cause, staple: bytes = b"", judge_status: StatusJudge | None = None
    ) -> None:
        """Take the cause of a certificate that OpenSSL refuses and the judge has no word for.

        A server has what it staples about its own certificate, a client who decides on that.
        """
        self._judge = judge
        self._judge_status = judge_status
        self.staple = staple
        self.status_passed = judge_status is None
        """Whether nobody wants an OCSP response, or it was called good."""
        self._invalid = invalid
        self._complaints: list[int] = []
        self.verdict: Refused | None = None
        """Why the certificate was refused."""
        self.passed = False
        """Whether the judge has called it good."""
        self.peer: x509.Certificate | None = None
        """The peer's certificate, from the moment it was judged good."""

    def see_again(self, leaf: x509.Certificate, again: Again | None) -> None:
        """Judge a peer that resumes: OpenSSL calls nobody then (CVE-2017-9148). Raises `Refused`."""
        if again is None:
            raise Refused(self._invalid, "a resumed handshake, where nobody decides about it")
        again(leaf)
        self.peer = leaf
        self.passed = self.status_passed = True

    def see(self, error: int, depth: int, ok: bool, chain: Callable[[], list[bytes]]) -> int:
        """Note one complaint; judge when OpenSSL calls the leaf good. Gives 0 or the error that becomes the alert.

        OpenSSL reports how it built the chain first, then dates and signatures from the top to depth 0, and last the
        name constraints. So complaints are collected, the judgement falls at depth 0, and after that only the one
        complaint is forgiven that our own check of the EUM has answered.
        """
        if self.passed:
            forgiven = error == _X509.PERMITTED_VIOLATION and depth == 0
            return 0 if ok or forgiven else self._refuse(f"OpenSSL refuses the certificate (error {error})", error)
        if not ok:
            if error not in _JUDGED_BY_US:
                self._complaints.append(error)
            return 0
        return 0 if depth else self._pass_judgement(chain())

    def see_status(self, response: bytes) -> bool:
        """Judge what the server has stapled; its certificate was judged before. Gives whether to go on."""
        try:
            if self._judge_status is not None and self.passed:
                self._judge_status(response)
                self.status_passed = True
        except Refused as verdict:
            self.passed = False
            self.peer = None
            self.verdict = verdict
        return self.status_passed

    def _pass_judgement(self, chain: list[bytes]) -> int:
        try:
            leaf = parse_certificate(chain[0])
            issuers = [_parse_issuer(der) for der in chain[1:]]
            # Here at depth 0 every signature of the chain has been verified; one that is wrong is among the complaints.
            self._judge(leaf, issuers if self._complaints else Verified(issuers))
        except Refused as verdict:
            self.verdict = verdict
            return _ALERTS.get(verdict.cause, _X509.REJECTED)
        except DecodeError as error:
            return self._refuse(str(error), _X509.REJECTED)
        if self._complaints:
            return self._refuse(f"OpenSSL refuses the certificate (error {self._complaints[0]})", self._complaints[0])
        self.peer = leaf
        self.passed = True
        return 0

    def _refuse(self, detail: str, error: int) -> int:
        self.passed = False
        self.peer = None
        self.verdict = Refused(self._invalid, detail)
        return error


def rejected() -> int:
    """The error that refuses a certificate which nobody is there to judge."""
    return _X509.REJECTED
