"""`rprov order`: who gets which profile. One act makes order, profile package and subscriber."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import click

from rprov.cli.words import EID, FILE, ICCID, IMSI, KEY
from rprov.config import load_cp, load_smdp
from rprov.errors import ConfigError, DecodeError
from rprov.model.identifiers import Eid, Iccid, Imsi
from rprov.model.records import Order
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.model.settings import CpSettings, SmdpSettings
from rprov.provision.profile import SuciKey
from rprov.store.cp import open_cp_store
from rprov.store.ordering import Given, NewOrder, choose_suci_key, draw_order
from rprov.store.pki import load_home_network_key
from rprov.store.smdp import SmdpStore, open_smdp_store

_smdp = click.option("--smdp", "smdp_file", type=FILE, default=Path("smdp.yaml"), help="The SM-DP+'s file.")
_cp = click.option("--cp", "cp_file", type=FILE, default=Path("cp.yaml"), help="The CP's file.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def order() -> None:
    """Order profiles for devices."""


@order.command()
@_smdp
@_cp
@click.option("--eid", type=EID, required=True, help="The device that gets the profile.")
@click.option("--iccid", type=ICCID, help="The profile's number.  [default: drawn]")
@click.option("--imsi", type=IMSI, help="The subscriber.  [default: drawn in the CP's network]")
@click.option(
    "--algorithm",
    type=click.Choice([item.value for item in AkaAlgorithm]),
    default=AkaAlgorithm.MILENAGE.value,
    show_default=True,
    help="What USIM and home network compute with.",
)
@click.option(
    "--authentication",
    type=click.Choice([item.value for item in AkaMethod]),
    default=AkaMethod.FIVE_G_AKA.value,
    show_default=True,
    help="How the home network authenticates the subscriber.",
)
@click.option("--k", type=KEY, help="The subscriber's key, or @FILE with it.  [default: drawn]")
@click.option("--opc", type=KEY, help="OPc (with TUAK: TOPc), or @FILE with it.  [default: drawn]")
@click.option("--op", type=KEY, help="OP (with TUAK: TOP), or @FILE with it, from which OPc follows.")
@click.option("--matching-id", help="The order's name in the activation code.  [default: drawn]")
@click.option("--provider", default="rprov", show_default=True, help="The operator's name in the profile.")
@_json
def add(
    smdp_file: Path,
    cp_file: Path,
    eid: Eid,
    iccid: Iccid | None,
    imsi: Imsi | None,
    algorithm: str,
    authentication: str,
    k: Secret | None,
    opc: Secret | None,
    op: Secret | None,
    matching_id: str | None,
    provider: str,
    as_json: bool,
) -> None:
    """Order a profile for a device.

    One act makes the order and the profile package at the SM-DP+, and the order and the subscriber at the CP.

    Keys are 32 hexadecimal digits; with TUAK, OPc and OP are 64, and K is 32 or 64. They may stand in a file, named
    @FILE: what is typed, every user of the machine can see.
    """
    smdp, cp = load_smdp(smdp_file, files_must_exist=False), load_cp(cp_file, files_must_exist=False)
    _check_stores(smdp, cp, smdp_file, cp_file)
    given = Given(
        iccid=iccid,
        imsi=imsi,
        k=k,
        opc=opc,
        op=op,
        algorithm=AkaAlgorithm(algorithm),
        method=AkaMethod(authentication),
        matching_id=matching_id,
        provider=provider,
    )
    try:
        new = draw_order(eid, cp.plmn, os.urandom, given, concealment(cp))
    except DecodeError as error:
        raise ConfigError(str(error)) from None
    asyncio.run(_add(smdp, cp, new))
    _print_orders([new.order], smdp.fqdn, as_json)


@order.command("list")
@_smdp
@_json
def list_orders(smdp_file: Path, as_json: bool) -> None:
    """List all orders of the SM-DP+, the oldest first."""
    smdp = load_smdp(smdp_file, files_must_exist=False)
    _print_orders(asyncio.run(_orders(smdp)), smdp.fqdn, as_json)


@order.command()
@_smdp
@_json
@click.argument("name", metavar="EID|MATCHING-ID")
def show(smdp_file: Path, as_json: bool, name: str) -> None:
    """Show one order, by its device or by its matching id."""
    smdp = load_smdp(smdp_file, files_must_exist=False)
    found = asyncio.run(_find(smdp, name))
    if found is None:
        raise ConfigError(f"there is no order for {name} in {smdp.store.url}")
    _print_orders([found], smdp.fqdn, as_json)


def concealment(cp: CpSettings) -> SuciKey | None:
    """Give the public key that new profiles of this network conceal with; raises `ConfigError`."""
    keys = {(item.scheme.value, item.id): load_home_network_key(item.key, item.scheme).public for item in cp.suci_keys}
    return choose_suci_key(keys)


def _check_stores(smdp: SmdpSettings, cp: CpSettings, smdp_file: Path, cp_file: Path) -> None:
    """Insist that both files speak of the same pair: else the CP would never hear of the order."""
    told = smdp.cp_store or smdp.store
    if told.url != cp.store.url:
        raise ConfigError(
            f"{smdp_file} tells a CP with the store {told.url}, but {cp_file} has {cp.store.url}: "
            "set cp_store of the SM-DP+ to the CP's store"
        )
    if smdp.store.in_memory or cp.store.in_memory:
        raise ConfigError("an order in a store in memory is gone at once: the store of both must be a file")


async def _add(smdp: SmdpSettings, cp: CpSettings, new: NewOrder) -> None:
    store = await open_smdp_store(smdp.store, cp.store)
    try:
        await store.add_order_and_subscriber(new.order, new.package, new.subscriber)
        if cp.store.url != smdp.store.url:
            await _deliver(store, cp)
    finally:
        await store.close()


async def _deliver(store: SmdpStore, cp: CpSettings) -> None:
    cp_store = await open_cp_store(cp.store)
    try:
        await store.deliver(cp_store)
    finally:
        await cp_store.close()


async def _orders(smdp: SmdpSettings) -> Sequence[Order]:
    store = await open_smdp_store(smdp.store, smdp.cp_store)
    try:
        return await store.orders()
    finally:
        await store.close()


async def _find(smdp: SmdpSettings, name: str) -> Order | None:
    store = await open_smdp_store(smdp.store, smdp.cp_store)
    try:
        try:
            return await store.order_by_eid(Eid.parse(name))
        except DecodeError:
            return await store.order_by_matching_id(name)
    finally:
        await store.close()


def _print_orders(orders: Sequence[Order], fqdn: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_plain(item, fqdn) for item in orders], indent=2))
        return
    if not orders:
        click.echo("no orders")
        return
    rows = [list(_plain(item, fqdn).values()) for item in orders]
    if len(rows) == 1:
        names = ("EID", "ICCID", "IMSI", "matching id", "state", "activation code")
        for name, value in zip(names, rows[0], strict=True):
            click.echo(f"{name:<16} {value}")
        return
    for row in [["EID", "ICCID", "IMSI", "matching id", "state"], *(row[:-1] for row in rows)]:
        click.echo("{:<33}{:<21}{:<16}{:<24}{}".format(*row))


def _plain(item: Order, fqdn: str) -> dict[str, str]:
    return {
        "eid": str(item.eid),
        "iccid": str(item.iccid),
        "imsi": str(item.imsi),
        "matching_id": item.matching_id,
        "state": item.state.value,
        "activation_code": f"LPA:1${fqdn}${item.matching_id}",
    }
