"""`rprov pki`, `order` and `euicc` on files, as a person would use them one after the other."""

import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from doubles.loop import run as run_loop

from rprov.cli.main import run
from rprov.config import load_cp, load_smdp
from rprov.crypto.suci import PROFILE_A, PROFILE_B
from rprov.crypto.x509 import Role, check_chain, eid_of
from rprov.model.identifiers import Eid, Iccid, Imsi, Supi
from rprov.model.records import DeviceRecord, OrderState, SubscriberRecord
from rprov.model.sections import (
    StoreSettings,
)
from rprov.provision.profile import ProfileContents, parse_profile
from rprov.store.cp import open_cp_store
from rprov.store.pki import load_anchors, load_chain, load_home_network_key, make_suci_key
from rprov.store.smdp import open_smdp_store

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
EID = Eid.with_check_digits("890490321234512345123456789012")
K = "465b5ce8b199b49faa5f0a2ee238a6bc"

Rprov = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rprov(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rprov:
    """Run a command in a directory with the example files; gives code, stdout and stderr."""
    for name in ("cp.yaml", "smdp.yaml", "ue.yaml", "ran.yaml"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    make_suci_key(tmp_path / "pki", PROFILE_B, os.urandom)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


@pytest.fixture
def pki(rprov: Rprov, tmp_path: Path) -> Rprov:
    """The same, with a PKI in it."""
    (tmp_path / "pki/suci.key").unlink()
    assert rprov("pki", "init", "pki")[0] == 0
    for kind in ("device", "euicc"):
        assert rprov("pki", "issue", kind, "--eid", EID)[0] == 0
    return rprov


# --- pki ----------------------------------------------------------------------------------------------------------


def test_init_makes_what_the_example_files_ask_for(pki: Rprov, tmp_path: Path) -> None:
    load_cp(tmp_path / "cp.yaml")
    load_smdp(tmp_path / "smdp.yaml")
    code, out, _ = pki("euicc", "show")
    assert (code, out) == (0, f"EID            {EID}\nnever used: no profile\n")


def test_what_init_and_issue_make_is_believed(pki: Rprov, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    anchors = load_anchors([tmp_path / "pki/ci.pem"])
    for name, role in (
        ("device", Role.DEVICE),
        ("euicc", Role.EUICC),
        ("dp-tls", Role.DP_TLS),
        ("dp-auth", Role.DP_AUTH),
        ("dp-pb", Role.DP_PB),
    ):
        leaf, *issuers = load_chain(tmp_path / f"pki/{name}.pem")
        check_chain(leaf, issuers, anchors, role, now)
    assert eid_of(load_chain(tmp_path / "pki/device.pem")[0]) == EID


def test_keys_are_their_owners_only(pki: Rprov, tmp_path: Path) -> None:
    keys = list((tmp_path / "pki").glob("*.key"))
    assert len(keys) == 11
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_nothing_is_overwritten_and_nothing_half_is_left(pki: Rprov, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "pki").iterdir()}
    code, _, err = pki("pki", "init", "pki")
    assert (code, err) == (2, "rprov: pki/ci.pem: is there already, and nothing is overwritten\n")
    (tmp_path / "pki/x.key").write_text("mine")
    assert pki("pki", "issue", "device", "--eid", EID, "--name", "x")[0] == 2
    assert not (tmp_path / "pki/x.pem").exists()
    (tmp_path / "pki/x.key").unlink()
    assert {path: path.read_bytes() for path in (tmp_path / "pki").iterdir()} == before


def test_the_eum_issues_only_its_own_eids(pki: Rprov, tmp_path: Path) -> None:
    foreign = Eid.with_check_digits("890445000000000000000000000001")
    code, _, err = pki("pki", "issue", "euicc", "--eid", foreign, "--name", "foreign")
    assert code == 1
    assert f"may not issue EID {foreign}" in err
    assert not (tmp_path / "pki/foreign.pem").exists()


def test_thirty_digits_get_their_check_digits(pki: Rprov, tmp_path: Path) -> None:
    assert pki("pki", "issue", "device", "--eid", "890490320000000000000000000001", "--name", "other")[0] == 0
    eid = eid_of(load_chain(tmp_path / "pki/other.pem")[0])
    assert eid == Eid.with_check_digits("890490320000000000000000000001")


def test_issuing_needs_a_pki_first(rprov: Rprov) -> None:
    code, _, err = rprov("pki", "issue", "device", "--eid", EID)
    assert (code, err) == (2, "rprov: pki: there is no PKI here (eum.pem is missing): rprov pki init pki\n")


def test_show_says_role_subject_eid_dates_and_key_id(pki: Rprov) -> None:
    code, out, _ = pki("pki", "show", "pki/device.pem")
    device, eum = out.split("\n\n")
    assert code == 0
    lines = dict(line.split(maxsplit=1) for line in device.splitlines() if not line.startswith("key id"))
    assert lines["role"] == "device, for the attach"
    assert lines["EID"] == str(EID)
    assert lines["valid"].endswith("UTC")
    assert f"serialNumber={EID}" in lines["subject"]
    assert "eUICC manufacturer (EUM)" in eum
    key_ids = [line.split()[-1] for line in out.splitlines() if line.startswith("key id")]
    assert [len(key_id) for key_id in key_ids] == [40, 40]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("ci", "certificate issuer (CI)"),
        ("cp", "network"),
        ("network-ca", "authority without a GSMA role (networks)"),
        ("dp-tls", "SM-DP+ TLS (DPtls)"),
    ],
)
def test_show_knows_every_role(pki: Rprov, name: str, role: str) -> None:
    assert f"role     {role}\n" in pki("pki", "show", f"pki/{name}.pem")[1]


@pytest.mark.parametrize("name", ["pki/cp.key", "cp.yaml"])
def test_show_of_something_else_is_refused_and_shows_nothing_of_it(pki: Rprov, name: str) -> None:
    code, out, err = pki("pki", "show", name)
    assert (code, out) == (2, "")
    assert err == f"rprov: {name}: there is no certificate in this file\n"


def test_brainpool_is_the_other_curve(rprov: Rprov) -> None:
    assert rprov("pki", "init", "other", "--curve", "brainpoolP256r1", "--plmn", "999-70")[0] == 0
    out = rprov("pki", "show", "other/cp.pem")[1]
    assert "cp.mnc070.mcc999.3gppnetwork.org" in out
    assert "brainpoolP256r1" in out


def test_a_directory_that_cannot_be_written_is_named(rprov: Rprov, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = rprov("pki", "init", "file/pki")
    assert code == 3
    assert "file/pki" in err


@pytest.mark.parametrize(("word", "profile"), [("profile_a", PROFILE_A), ("profile_b", PROFILE_B)])
def test_a_suci_key_is_of_the_profile_asked_for(rprov: Rprov, tmp_path: Path, word: str, profile: int) -> None:
    assert rprov("pki", "suci-key", "--profile", word, "--name", "mine") == (0, "pki/mine.key\n", "")
    assert load_home_network_key(tmp_path / "pki/mine.key", profile).profile == profile
    assert stat.S_IMODE((tmp_path / "pki/mine.key").stat().st_mode) == 0o600
    assert rprov("pki", "suci-key", "--profile", word, "--name", "mine")[0] == 2


# --- order --------------------------------------------------------------------------------------------------------


def looked_up(tmp_path: Path, imsi: str, matching_id: str) -> tuple[DeviceRecord, SubscriberRecord, ProfileContents]:
    """What CP and SM-DP+ know after an order."""

    async def look() -> tuple[DeviceRecord, SubscriberRecord | None, bytes | None]:
        cp = await open_cp_store(store(tmp_path, "cp"))
        smdp = await open_smdp_store(store(tmp_path, "smdp"), store(tmp_path, "cp"))
        try:
            supi = Supi.of_imsi(Imsi(imsi))
            return await cp.device(EID), await cp.subscriber(supi), await smdp.package(matching_id)
        finally:
            await cp.close()
            await smdp.close()

    device, subscriber, package = run_loop(look())
    assert subscriber is not None
    assert package is not None
    return device, subscriber, parse_profile(package)


def store(tmp_path: Path, name: str) -> StoreSettings:
    return StoreSettings(url=f"sqlite:///{tmp_path}/{name}.db", key_file=tmp_path / f"{name}.db.key")  # type: ignore[arg-type]


def test_an_order_is_known_to_both_and_agrees_in_everything(rprov: Rprov, tmp_path: Path) -> None:
    code, out, _ = rprov("order", "add", "--eid", EID, "--json")
    assert code == 0
    (made,) = json.loads(out)
    device, subscriber, profile = looked_up(tmp_path, made["imsi"], made["matching_id"])
    assert device.may_be_provisioned
    assert device.order is not None
    assert device.order.state is OrderState.RELEASED
    assert (str(profile.iccid), str(profile.imsi)) == (made["iccid"], made["imsi"])
    assert str(device.order.iccid) == made["iccid"]
    assert (profile.k, profile.opc) == (subscriber.k, subscriber.opc)
    assert str(profile.home) == "001-01"
    assert profile.suci_key is not None
    own = load_home_network_key(tmp_path / "pki/suci.key", PROFILE_B).public
    assert (profile.suci_key.scheme, profile.suci_key.key_id, profile.suci_key.public_key) == (PROFILE_B, 1, own)
    assert made["activation_code"] == f"LPA:1$smdp.example.com${made['matching_id']}"


def test_what_is_given_is_taken(rprov: Rprov, tmp_path: Path) -> None:
    (tmp_path / "opc").write_text("00112233445566778899aabbccddeeff\n")
    (tmp_path / "opc").chmod(0o600)
    arguments = ("--iccid", "8988211000000000011", "--imsi", "001010000000007", "--k", K, "--opc", "@opc")
    code, out, _ = rprov("order", "add", "--eid", EID, *arguments, "--matching-id", "FIRST", "--provider", "Test")
    assert code == 0
    assert "ICCID            8988211000000000011" in out
    _, subscriber, profile = looked_up(tmp_path, "001010000000007", "FIRST")
    assert subscriber.k.octets.hex() == K
    assert subscriber.opc.octets.hex() == "00112233445566778899aabbccddeeff"
    assert profile.provider == "Test"
    assert profile.iccid == Iccid("8988211000000000011")


@pytest.mark.parametrize("method", ["5g-aka", "eap-aka-prime"])
@pytest.mark.parametrize("algorithm", ["milenage", "tuak"])
def test_algorithm_and_method_are_those_of_the_order(rprov: Rprov, tmp_path: Path, algorithm: str, method: str) -> None:
    arguments = ("--algorithm", algorithm, "--authentication", method)
    code, out, _ = rprov("order", "add", "--eid", EID, *arguments, "--json")
    assert code == 0
    (made,) = json.loads(out)
    _, subscriber, profile = looked_up(tmp_path, made["imsi"], made["matching_id"])
    assert (subscriber.algorithm, subscriber.method) == (algorithm, method)
    assert (profile.algorithm, profile.k, profile.opc) == (algorithm, subscriber.k, subscriber.opc)


def test_an_op_becomes_the_opc_of_the_subscriber(rprov: Rprov, tmp_path: Path) -> None:
    op = "cdc202d5123e20f62b6d676ac72cb318"
    code, out, _ = rprov("order", "add", "--eid", EID, "--k", K, "--op", op, "--json")
    assert code == 0
    (made,) = json.loads(out)
    _, subscriber, profile = looked_up(tmp_path, made["imsi"], made["matching_id"])
    # TS 35.208 test set 1
    assert subscriber.opc.octets.hex() == profile.opc.octets.hex() == "cd63cb71954a9f4e48a5994e37a02baf"


def test_one_device_has_one_open_order(rprov: Rprov) -> None:
    assert rprov("order", "add", "--eid", EID)[0] == 0
    code, out, err = rprov("order", "add", "--eid", EID)
    assert (code, out) == (1, "")
    assert f"open order for the device {EID}" in err


def test_orders_are_listed_and_shown(rprov: Rprov) -> None:
    assert rprov("order", "list") == (0, "no orders\n", "")
    other = Eid.with_check_digits("890490320000000000000000000002")
    rprov("order", "add", "--eid", EID, "--matching-id", "ONE")
    rprov("order", "add", "--eid", other, "--matching-id", "TWO")
    lines = rprov("order", "list")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["EID", str(EID), str(other)]
    assert "TWO" in rprov("order", "show", other)[1]
    assert str(EID) in rprov("order", "show", "ONE")[1]
    assert [item["matching_id"] for item in json.loads(rprov("order", "list", "--json")[1])] == ["ONE", "TWO"]
    code, out, err = rprov("order", "show", "THREE")
    assert (code, out) == (2, "")
    assert "no order for THREE" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--eid", "1"), "an EID must have 32 digits"),
        (("--iccid", "8988211000000000014"), "wrong check digit"),
        (("--imsi", "999990000000001"), "not of the network 001-01"),
        (("--k", "12"), "a key has 16 octets"),
        (("--k", "xyz"), "hexadecimal"),
        (("--k", "@nothing"), "No such file"),
        (("--opc", K + K), "K and OPc have 16 octets each"),
        (("--op", K, "--opc", K), "OP and OPc are given"),
        (("--op", K, "--algorithm", "tuak"), "K of TUAK has 16 or 32 octets and TOPc 32"),
        (("--algorithm", "xor"), "'xor' is not one of 'milenage', 'tuak'"),
        (("--authentication", "eap-aka"), "'eap-aka' is not one of '5g-aka', 'eap-aka-prime'"),
        (("--matching-id", "lower"), "a matching id has"),
        (("--provider", "a name that is far too long"), "provider"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    rprov: Rprov, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = rprov("order", "add", "--eid", EID, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert not (tmp_path / "smdp.db").exists()


def test_a_wrong_key_is_not_repeated(rprov: Rprov) -> None:
    assert "465b5ce8" not in rprov("order", "add", "--eid", EID, "--k", K + "zz")[2]


def test_two_files_that_do_not_belong_together_are_refused(rprov: Rprov, tmp_path: Path) -> None:
    text = (tmp_path / "smdp.yaml").read_text()
    (tmp_path / "smdp.yaml").write_text(text.replace("sqlite:///cp.db", "sqlite:///another.db"))
    code, _, err = rprov("order", "add", "--eid", EID)
    assert code == 2
    assert "another.db" in err
    assert "set cp_store" in err


def test_profiles_conceal_with_the_networks_key(rprov: Rprov, tmp_path: Path) -> None:
    rprov("pki", "init", "keys")
    text = (tmp_path / "cp.yaml").read_text()
    mine = "{id: 7, scheme: profile_b, key: keys/cp.key}"
    (tmp_path / "cp.yaml").write_text(text.replace("\nsuci_keys:\n", f"\nsuci_keys:\n  - {mine}\n"))
    assert rprov("order", "add", "--eid", EID, "--imsi", "001010000000009", "--matching-id", "S")[0] == 0
    profile = looked_up(tmp_path, "001010000000009", "S")[2]
    assert profile.suci_key is not None
    assert (profile.suci_key.scheme, profile.suci_key.key_id) == (2, 7)
    assert len(profile.suci_key.public_key) == 33


def test_a_file_with_mistakes_is_refused_line_by_line(rprov: Rprov, tmp_path: Path) -> None:
    (tmp_path / "smdp.yaml").write_text("fqdn: smdp.example.com\nlissten: {}\n")
    code, _, err = rprov("order", "list")
    assert code == 2
    assert all(line.startswith("rprov: smdp.yaml:") for line in err.splitlines())
    assert "lissten" in err


def test_a_missing_file_is_wrong_use(rprov: Rprov, tmp_path: Path) -> None:
    (tmp_path / "smdp.yaml").unlink()
    code, _, err = rprov("order", "list")
    assert code == 2
    assert "smdp.yaml" in err
