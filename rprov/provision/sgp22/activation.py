"""Activation codes: which server, which order (SGP.22 4.1). Text only; nobody is asked anything here."""

import re
from dataclasses import dataclass
from typing import Self

from rprov.errors import DecodeError

_ADDRESS = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")
_MATCHING_ID = re.compile(r"[A-Z0-9-]{0,255}")
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]{0,18})){1,20}")
_MAX_CODE = 255


@dataclass(frozen=True, slots=True)
class ActivationCode:
    """`1$<address>$<matchingId>[$<OID of the SM-DP+>[$1]]`; the last says that a confirmation code is needed.

    An empty matchingId: the SM-DP+ finds the order by the EID.
    """

    address: str
    matching_id: str = ""
    smdp_oid: str = ""
    confirmation_required: bool = False

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.address):
            raise DecodeError("the address of an activation code must be a host name, with a port or without")
        if not _MATCHING_ID.fullmatch(self.matching_id):
            raise DecodeError("a matchingId is made of A-Z, 0-9 and - only")
        if self.smdp_oid and not _OID.fullmatch(self.smdp_oid):
            raise DecodeError("the third part of an activation code must be an OID")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a code, with the `LPA:` of a QR code or without."""
        if len(text) > _MAX_CODE:
            raise DecodeError(f"an activation code has at most {_MAX_CODE} characters")
        parts = text.removeprefix("LPA:").split("$")
        if not 3 <= len(parts) <= 5:
            raise DecodeError("an activation code is 1$<address>$<matchingId>, then perhaps an OID and a 1")
        kind, address, matching_id, smdp_oid, flag = parts + [""] * (5 - len(parts))
        if kind != "1":
            raise DecodeError("an activation code begins with 1$")
        if flag not in ("", "1"):
            raise DecodeError("the last part of an activation code is 1 or empty")
        return cls(address, matching_id, smdp_oid, flag == "1")

    def format(self) -> str:
        """Write it as it stands in a QR code."""
        parts = ["1", self.address, self.matching_id]
        if self.smdp_oid or self.confirmation_required:
            parts.append(self.smdp_oid)
        if self.confirmation_required:
            parts.append("1")
        return "LPA:" + "$".join(parts)
