"""Sections about certificates: what a node proves itself with, and what a network believes about devices."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from rprov.model.kinds import (
    AtLeast,
    EidPrefix,
    Files,
    Fqdn,
    KeyId,
    ReadPath,
    Unfit,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialFiles:
    """A certificate and its private key."""

    chain: ReadPath
    """PEM file: the certificate itself first, then those between it and the anchor."""
    key: ReadPath
    """PEM file with the private key, not encrypted, readable by its owner only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EumEntry:
    """What the operator knows about one manufacturer whose certificate does not say it."""

    key_id: KeyId
    """subjectKeyIdentifier of the EUM's certificate."""
    prefixes: Annotated[tuple[EidPrefix, ...], AtLeast(1)]
    """The EIDs that it may issue begin with one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MskTrust:
    """A network whose AAA server may know the keys of this device (docs/threats.md)."""

    anchors: Files
    """PEM files, or directories of them, with the authorities that certify its AAA server; never a GSMA CI."""
    server_name: Fqdn | None = None
    """dNSName that the certificate must carry; absent: the name of the PLMN that the cell announces."""


class DeviceRoles(StrEnum):
    """With which of its certificates a device may attach."""

    DEVICE = "device"
    EUICC = "euicc"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTrust:
    """What a network believes about devices."""

    anchors: Files
    """PEM files, or directories of them, with the certificate issuers (CI) that are trusted."""
    eum_table: tuple[EumEntry, ...] = ()
    """Manufacturers and their EIDs, for certificates that carry no constraint themselves."""
    roles: DeviceRoles = DeviceRoles.DEVICE
    """Which kind of certificate a device may attach with."""
    eid_hints: bool = True
    """Whether a device may name only its issuer at first, and its EID inside TLS 1.3 (the UE's hide_eid)."""
    crls: tuple[ReadPath, ...] = ()
    """PEM or DER files, or directories of them, with CRLs; beside one of an EUM (PEM) stands the EUM's certificate."""
    ocsp: tuple[ReadPath, ...] = ()
    """DER files, or directories of them, with OCSP responses about devices and EUMs; one of an EUM's brings its
    certificate."""
    require_crl: bool = False
    """Whether a device is refused for which, or for whose EUM, no current CRL or OCSP response speaks (fail closed)."""

    def __post_init__(self) -> None:
        if self.require_crl and not (self.crls or self.ocsp):
            raise Unfit("require_crl", "needs crls or ocsp: without any, no device could attach")

    @property
    def eum_prefixes(self) -> dict[bytes, tuple[str, ...]]:
        """The table by key identifier."""
        return prefixes_by_key_id(self.eum_table)


def prefixes_by_key_id(table: tuple[EumEntry, ...]) -> dict[bytes, tuple[str, ...]]:
    """Give the table in the form that the chain check takes."""
    return {bytes(entry.key_id): tuple(entry.prefixes) for entry in table}
