"""`rprov pki`: the certificates of a test network, made and shown. The files are `store/pki.py`'s affair."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from rprov.cli.words import DIRECTORY, EID, EID_PREFIX, FILE, PLMN, RAN_NAME
from rprov.model.identifiers import Eid, Plmn
from rprov.model.sections import (
    SuciScheme,
)
from rprov.store.crl import revoke as write_crls
from rprov.store.crl import revoked_serials
from rprov.store.ocsp import write_responses
from rprov.store.pki import (
    Facts,
    Issuing,
    facts,
    init_pki,
    issue_device,
    issue_euicc,
    issue_ran,
    load_chain,
    make_suci_key,
)

SLACK = timedelta(minutes=5)
"""Certificates begin a little earlier, for machines whose clocks differ."""

_days = click.option("--days", type=click.IntRange(1, 36500), default=3650, show_default=True, help="Days of validity.")
_eid = click.option("--eid", type=EID, required=True, help="The EID: 32 digits, or 30 without check digits.")
_crl_days = click.option(
    "--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="Days until the next CRL is due."
)
_place = click.option(
    "--dir", "place", type=DIRECTORY, default=Path("pki"), show_default=True, help="The directory of `pki init`."
)


@click.group()
def pki() -> None:
    """Make and show the certificates of a test network.

    Never for a real one: the keys of all authorities lie in one directory.
    """


@pki.command()
@click.argument("place", metavar="DIR", type=DIRECTORY)
@click.option("--plmn", type=PLMN, default="001-01", show_default=True, help="The network of the CP's certificate.")
@click.option("--fqdn", default="smdp.example.com", show_default=True, help="The name of the SM-DP+.")
@click.option(
    "--eid-prefix", type=EID_PREFIX, default="89049032", show_default=True, help="EIDs that the EUM may issue."
)
@click.option("--curve", type=click.Choice(["P-256", "brainpoolP256r1"]), default="P-256", show_default=True)
@_days
def init(place: Path, plmn: Plmn, fqdn: str, eid_prefix: str, curve: str, days: int) -> None:
    """Make a CI, an EUM, a network CA, the certificates of CP, RAN and SM-DP+, and a SUCI key of Profile B."""
    _print_written(init_pki(place, _issuing(days, curve), plmn, fqdn, eid_prefix))


@pki.command("suci-key")
@_place
@click.option(
    "--profile",
    type=click.Choice([scheme.name.lower() for scheme in SuciScheme]),
    default=SuciScheme.PROFILE_B.name.lower(),
    show_default=True,
    help="X25519 (A) or P-256 (B), TS 33.501 C.3.4.",
)
@click.option("--name", default="suci", show_default=True, help="Name of the file.")
def suci_key(place: Path, profile: str, name: str) -> None:
    """Make a key with which the home network reveals SUCIs; `suci_keys` of the CP's file names it.

    New orders give its public half to their profiles.
    """
    _print_written(make_suci_key(place, SuciScheme[profile.upper()], os.urandom, name))


@pki.group()
def issue() -> None:
    """Make the certificate of a device, of an eUICC or of a RAN."""


@issue.command()
@_eid
@_place
@click.option("--name", default="device", show_default=True, help="Name of the files.")
@_days
def device(eid: Eid, place: Path, name: str, days: int) -> None:
    """Make a device's own key for the attach, certified by the EUM for its EID."""
    _print_written(issue_device(place, _issuing(days), eid, name))


@issue.command()
@_eid
@_place
@click.option("--name", default="euicc", show_default=True, help="Name of the files.")
@_days
def euicc(eid: Eid, place: Path, name: str, days: int) -> None:
    """Make the key and certificate of an eUICC."""
    _print_written(issue_euicc(place, _issuing(days), eid, name))


@issue.command()
@click.option("--ran-name", type=RAN_NAME, default="ran", show_default=True, help="What the RAN calls itself (`name`).")
@click.option("--plmn", type=PLMN, default="001-01", show_default=True, help="The network that it belongs to.")
@_place
@click.option("--name", default="ran", show_default=True, help="Name of the files.")
@_days
def ran(ran_name: str, plmn: Plmn, place: Path, name: str, days: int) -> None:
    """Make the key and certificate with which a RAN proves itself to its CP on N2."""
    _print_written(issue_ran(place, _issuing(days), ran_name, plmn, name))


@pki.command()
@click.argument("file", type=FILE)
def show(file: Path) -> None:
    """Say what the certificates in FILE are for, and how long they last."""
    for number, certificate in enumerate(load_chain(file)):
        if number:
            click.echo()
        _print_facts(facts(certificate))


@pki.command()
@click.argument("files", metavar="CERT...", nargs=-1, required=True, type=FILE)
@_place
@_crl_days
def revoke(files: tuple[Path, ...], place: Path, days: int) -> None:
    """Revoke certificates: write the CRLs of CI, EUM and network CA anew. A running CP reads them at SIGHUP."""
    _print_written(write_crls(place, _issuing(days), files))


@pki.command()
@_place
@_crl_days
def crl(place: Path, days: int) -> None:
    """Write the CRLs of CI, EUM and network CA anew as they are, so that they last longer."""
    _print_written(write_crls(place, _issuing(days)))


@pki.command()
@click.argument("files", metavar="CERT...", nargs=-1, required=True, type=FILE)
@_place
@click.option("--days", type=click.IntRange(1, 3650), default=7, show_default=True, help="Days until the next is due.")
@click.option("--revoked", is_flag=True, help="Say that they are revoked, whatever the CRLs say.")
def ocsp(files: tuple[Path, ...], place: Path, days: int, revoked: bool) -> None:
    """Write what the issuer of each certificate says of it now: an OCSP response, CERT.ocsp.

    Revoked is what the CRLs of CI and EUM name. A CP staples the response about its own certificate (`staple`), and
    believes those about devices and EUMs (`devices.ocsp`).
    """
    serials = frozenset(load_chain(file)[0].serial_number for file in files) if revoked else revoked_serials(place)
    _print_written(write_responses(place, _issuing(days), files, serials))


def _issuing(days: int, curve: str = "P-256") -> Issuing:
    return Issuing(datetime.now(UTC).replace(microsecond=0) - SLACK, os.urandom, days, curve)


def _print_written(paths: list[Path]) -> None:
    for path in paths:
        click.echo(path)


def _print_facts(found: Facts) -> None:
    lines = (
        ("role", found.role),
        ("subject", found.subject),
        ("issuer", found.issuer),
        ("EID", found.eid),
        ("names", ", ".join(found.names)),
        ("valid", f"{found.not_before:%Y-%m-%d %H:%M:%S} to {found.not_after:%Y-%m-%d %H:%M:%S} UTC"),
        ("key", found.curve),
        ("key id", found.key_id),
    )
    for name, value in lines:
        if value:
            click.echo(f"{name:<8} {value}")
