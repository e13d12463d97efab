"""Whom a network trusts about devices, as one snapshot that remembers the EUMs which it has judged good.

Thousands of devices share an EUM, and nothing about the EUM changes from one to the next but the date. Owns the memory
and no rule: every rule is in `x509.py`. What is remembered only ever says yes, and sooner; whatever does not get its
yes is judged from the beginning by `check_chain`, whose verdict it is then.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from rprov.causes import Cause
from rprov.crypto.x509 import (
    ISSUED_BY_EUM,
    NO_TABLE,
    VERDICTS,
    Issue,
    Role,
    check_chain,
    check_issue,
    check_leaf,
    issue_of,
)
from rprov.crypto.x509_path import Verified, check_dates, check_form, extension, key_id, prove_leaf, reading
from rprov.errors import Refused

MOST_EUMS = 256
"""EUMs remembered; there are some dozens in the world. The one that was not asked for longest gives way."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An EUM that was judged good, what is above it, while both are valid, and what it may issue."""

    path: tuple[x509.Certificate, ...]
    not_before: datetime
    not_after: datetime
    issue: Issue


class DeviceAnchors:
    """CIs, and what follows from them. Never changed: other anchors are another one of these."""

    __slots__ = ("_anchors", "_known", "_new", "_roles", "_table")

    def __init__(
        self,
        anchors: Sequence[x509.Certificate],
        roles: frozenset[Role] = ISSUED_BY_EUM,
        eum_table: Mapping[bytes, tuple[str, ...]] = NO_TABLE,
    ) -> None:
        """Take the roles that a device's certificate may have, all of them issued by EUMs."""
        self._anchors = tuple(anchors)
        self._roles = roles & ISSUED_BY_EUM
        self._table = dict(eum_table)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._new: list[x509.Certificate] = []

    def take_new(self) -> list[x509.Certificate]:
        """Give the EUMs that were judged good for the first time since this was asked last."""
        taken, self._new = self._new, []
        return taken

    def check(
        self, leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], at: datetime
    ) -> tuple[x509.Certificate, ...]:
        """Check a device's certificate; give leaf, EUM, CI. Raises what `check_chain` raises."""
        known = self._remembered(leaf, intermediates, at)
        if known is not None and self._passes(leaf, intermediates, known, at):
            return (leaf, *known.path)
        path = check_chain(leaf, intermediates, self._anchors, self._roles, at, self._table)
        self._remember(path[1:])
        return path

    def _remembered(
        self, leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], at: datetime
    ) -> _Known | None:
        """Find the EUM that the leaf names, if it is one of those that came along and valid now."""
        with reading(Cause.CERTIFICATE_INVALID):
            authority = extension(leaf, x509.AuthorityKeyIdentifier)
        name = authority.key_identifier if authority else None
        known = self._known.get(name) if name else None
        if name is None or known is None or known.path[0] not in intermediates:
            return None
        self._known.move_to_end(name)
        return known if known.not_before <= at <= known.not_after else None

    def _passes(
        self, leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], known: _Known, at: datetime
    ) -> bool:
        """Say whether nothing is wrong with the leaf under this EUM; what is wrong, the caller finds out."""
        try:
            with reading(Cause.CERTIFICATE_INVALID):
                prove_leaf(intermediates, leaf, known.path[0])
                check_dates(leaf, at, VERDICTS)
                check_form(leaf, VERDICTS)
                check_leaf(leaf, self._roles, key_is_sound=isinstance(intermediates, Verified))
                check_issue(leaf, known.issue)
        except (Refused, InvalidSignature):
            return False
        return True

    def _remember(self, path: tuple[x509.Certificate, ...]) -> None:
        name = key_id(path[0])
        if name is None:
            return
        if name not in self._known or self._known[name].path[0] != path[0]:
            self._new.append(path[0])
        self._known[name] = _Known(
            path,
            max(certificate.not_valid_before_utc for certificate in path),
            min(certificate.not_valid_after_utc for certificate in path),
            issue_of(path[0], self._table),
        )
        if len(self._known) > MOST_EUMS:
            self._known.popitem(last=False)
