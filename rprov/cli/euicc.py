"""`rprov euicc`: what a software eUICC holds. Never shows a key."""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from rprov.cli.words import FILE
from rprov.config import load_ue
from rprov.crypto.x509 import eid_of
from rprov.errors import ConfigError
from rprov.model.identifiers import Eid
from rprov.model.settings import UeSettings
from rprov.provision.euicc.state import CardState
from rprov.store.euicc import SavedCard, open_euicc_store
from rprov.store.pki import load_chain


@click.group()
def euicc() -> None:
    """Look into a software eUICC."""


@euicc.command()
@click.option("--ue", "ue_file", type=FILE, default=Path("ue.yaml"), help="The UE's file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(ue_file: Path, as_json: bool) -> None:
    """Show the EID, the profiles and what is still to be told to servers."""
    settings = load_ue(ue_file)
    eid = settings.eid or eid_of(load_chain(settings.euicc.certificate.chain)[0])
    if settings.euicc.store.in_memory:
        raise ConfigError(f"{ue_file}: the card's store is in memory: there is nothing to look into")
    saved = asyncio.run(_load(settings, eid))
    card = _card(eid, saved)
    if as_json:
        click.echo(json.dumps(card, indent=2))
        return
    click.echo(f"EID            {eid}")
    if saved is None:
        click.echo("never used: no profile")
        return
    for profile in card["profiles"]:
        state = "enabled" if profile["enabled"] else "disabled"
        click.echo(f"profile        {profile['iccid']} {state:<9} IMSI {profile['imsi']}  {profile['name']!r}")
        click.echo(f"               of {profile['provider']!r}, home network {profile['home']}")
    if not card["profiles"]:
        click.echo("no profile")
    for pending in card["notifications"]:
        click.echo(f"notification   {pending['sequence']} {pending['event']} for {pending['address']}")


async def _load(settings: UeSettings, eid: Eid) -> SavedCard | None:
    store = await open_euicc_store(settings.euicc.store)
    try:
        return await store.load(eid)
    finally:
        await store.close()


def _card(eid: Eid, saved: SavedCard | None) -> dict[str, Any]:
    state = CardState.decode(saved.state) if saved is not None else None
    return {
        "eid": str(eid),
        "profiles": [
            {
                "iccid": str(profile.iccid),
                "imsi": str(profile.imsi),
                "home": str(profile.home),
                "name": profile.metadata.name,
                "provider": profile.metadata.provider,
                "enabled": profile.enabled,
            }
            for profile in (state.profiles if state is not None else ())
        ],
        "notifications": [
            {
                "sequence": item.metadata.sequence,
                "event": item.metadata.event.name.lower(),
                "address": item.metadata.address,
            }
            for item in (state.notifications if state is not None else ())
        ],
    }
