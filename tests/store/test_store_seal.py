"""Secrets at rest: what is on disk, whose key opens it, and what the key file must be like."""

import os
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.loop import run
from doubles.records import context, eid, order, subscriber
from hypothesis import given
from hypothesis import strategies as st

from rprov.crypto.hierarchy import KAmf
from rprov.errors import ConfigError, EnvironmentLacks
from rprov.model.kinds import DatabaseUrl
from rprov.model.secret import Secret
from rprov.model.sections import (
    StoreSettings,
    Unfit,
)
from rprov.store.cp import open_cp_store
from rprov.store.euicc import open_euicc_store
from rprov.store.seal import Seal, SealBroken, SealingKey, load_sealing_key, new_sealing_key
from rprov.store.smdp import open_smdp_store


def settings(directory: Path) -> StoreSettings:
    return StoreSettings(url=DatabaseUrl(f"sqlite:///{directory / 'store.db'}"), key_file=directory / "store.key")


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_was_sealed_opens_at_its_place_only(plain: bytes, place: str) -> None:
    seal = Seal(new_sealing_key())
    sealed = seal.close(plain, place)
    assert seal.open(sealed, place) == plain
    assert seal.close(plain, place) != sealed
    with pytest.raises(SealBroken, match="does not open with this key"):
        seal.open(sealed, place + "x")
    with pytest.raises(SealBroken, match="does not open with this key"):
        Seal(new_sealing_key()).open(sealed, place)


@given(st.binary(max_size=60), st.data())
def test_changed_octets_do_not_open(plain: bytes, data: st.DataObject) -> None:
    seal = Seal(SealingKey(bytes(32)))
    sealed = bytearray(seal.close(plain, "here"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        seal.open(bytes(sealed), "here")
    with pytest.raises(SealBroken):
        seal.open(bytes(sealed)[: data.draw(st.integers(0, len(sealed) - 1))], "here")


def test_no_secret_stands_on_disk_in_clear(tmp_path: Path) -> None:
    secrets = {name: os.urandom(16) for name in ("k", "opc", "k_amf", "package", "card")}
    holder = replace(subscriber(), k=Secret(secrets["k"]), opc=Secret(secrets["opc"]))
    elsewhere = replace(settings(tmp_path), url=DatabaseUrl("sqlite://"))

    async def story() -> None:
        smdp = await open_smdp_store(settings(tmp_path), elsewhere)
        await smdp.add_order_and_subscriber(order(), secrets["package"], holder)  # leaves K and OPc in the outbox
        await smdp.close()
        cp = await open_cp_store(settings(tmp_path))
        await cp.add_subscriber(holder)
        await cp.save_context(replace(context(), k_amf=KAmf(secrets["k_amf"] * 2)))
        await cp.close()
        cards = await open_euicc_store(settings(tmp_path))
        await cards.save(eid(), secrets["card"])
        await cards.close()

    run(story())
    on_disk = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert eid().digits.encode() in on_disk
    for name, secret in secrets.items():
        assert secret not in on_disk, name
        assert secret.hex().encode() not in on_disk, name


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    async def story() -> None:
        await (await open_cp_store(settings(tmp_path))).close()

    run(story())
    path = tmp_path / "store.key"
    first = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first) == 32
    run(story())
    assert path.read_bytes() == first
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith(".")] == []


def refusal(place: StoreSettings) -> str:
    async def story() -> str:
        with pytest.raises(ConfigError) as caught:
            await open_cp_store(place)
        return str(caught.value)

    return run(story())


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    place = settings(tmp_path)

    async def story() -> None:
        await (await open_cp_store(place)).close()

    run(story())
    other = tmp_path / "other.key"
    load_sealing_key(other, make=True)
    wrong = replace(place, key_file=other)
    assert refusal(wrong) == f"{other} is not the key that sealed the store {place.url}"
    missing = replace(place, key_file=tmp_path / "missing.key")
    assert refusal(missing) == f"{missing.key_file}: the file with the key that sealed the store is missing"
    assert not (tmp_path / "missing.key").exists()


def test_a_key_file_that_is_none_is_named(tmp_path: Path) -> None:
    place = settings(tmp_path)
    path = tmp_path / "store.key"
    path.write_bytes(bytes(31))
    path.chmod(0o600)
    assert refusal(place) == f"{path}: a key file has 32 octets"
    path.write_bytes(bytes(32))
    path.chmod(0o640)
    assert refusal(place) == f"{path}: others may read this key file: chmod 600 it"
    assert refusal(replace(place, key_file=tmp_path)).startswith(f"{tmp_path}: cannot use this key file: ")
    nowhere = tmp_path / "none" / "store.key"
    assert refusal(replace(place, key_file=nowhere)) == f"{nowhere}: there is no directory for this key file"


def test_a_store_on_disk_needs_a_key_file() -> None:
    with pytest.raises(Unfit, match="needs a sealing key"):
        StoreSettings(url=DatabaseUrl("sqlite:///cp.db"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("nonsense", "is no URL of a database that rprov knows"),
        ("nonsense://x/y", "is no URL of a database that rprov knows"),
    ],
)
def test_a_database_that_cannot_be_used_is_named(tmp_path: Path, url: str, words: str) -> None:
    place = StoreSettings(url=DatabaseUrl(url), key_file=tmp_path / "store.key")
    assert words in refusal(place)
    assert url in refusal(place)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"This is a letter, not a database." * 100)
    assert "file is not a database" in refusal(settings(tmp_path))


def test_a_missing_driver_is_what_the_environment_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    place = StoreSettings(url=DatabaseUrl("postgresql+psycopg://rprov@localhost/rprov"), key_file=tmp_path / "key")

    async def story() -> None:
        with pytest.raises(EnvironmentLacks, match=r"needs the package psycopg: pip install 'rprov\[postgres\]'"):
            await open_cp_store(place)

    run(story())


def test_a_row_that_was_moved_does_not_open(tmp_path: Path) -> None:
    """Who can write to the database cannot give one subscriber another's keys."""

    async def fill() -> None:
        cp = await open_cp_store(settings(tmp_path))
        await cp.add_subscriber(subscriber(1))
        await cp.add_subscriber(subscriber(2))
        await cp.close()

    async def look() -> None:
        cp = await open_cp_store(settings(tmp_path))
        with pytest.raises(SealBroken):
            await cp.subscriber(subscriber(2).supi)
        await cp.close()

    run(fill())
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute(
        "UPDATE cp_subscribers SET sealed_keys = (SELECT sealed_keys FROM cp_subscribers WHERE supi = ?) "
        "WHERE supi = ?",
        (subscriber(1).supi.text, subscriber(2).supi.text),
    )
    connection.commit()
    connection.close()
    run(look())
