"""Through the CP to `rprov aaa`, over real sockets: all seven steps, and everybody's no."""

import logging
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.aaa_place import CLIENT_NAME, SERVER_NAME, AaaPlace
from doubles.behind_aaa import BehindAaa, trusting
from doubles.network import Device, run
from doubles.wrong_certificates import other_pki

from rprov.causes import Cause
from rprov.cli.demo_files import PLMN
from rprov.daemon.ue import sentence
from rprov.model.aaa import RadsecListen
from rprov.model.aaa_client import RadsecPeer
from rprov.model.kinds import Fqdn, ReadPath
from rprov.model.report import Discarded, Proof, StepEnded
from rprov.model.trust import DeviceTrust
from rprov.procedure.actions import Conclude

ALL_STEPS = [(step, True) for step in range(1, 8)]
ONCE = {"max_attempts": 1}


def attach(
    place: Path,
    change: Callable[[BehindAaa, Device], Device] = trusting,
    ordered: bool = True,
    aaa: tuple[dict[str, Any], ...] = ({},),
) -> tuple[Conclude, BehindAaa]:
    """One device, one try."""

    async def scenario() -> tuple[Conclude, BehindAaa]:
        async with BehindAaa(place, aaa) as net:
            device = change(net, await net.device(ordered=ordered))
            return await net.attach(device.but(**ONCE)), net

    ended, net = run(scenario())
    return ended, net


def cp_said(net: BehindAaa) -> str:
    """Why the CP has refused the device."""
    return next(item.detail for item in net.seen.of(StepEnded) if item.role == "cp" and not item.ok)


def test_all_seven_steps(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with BehindAaa(tmp_path) as net:
            device = trusting(net, await net.device())
            ended = await net.attach(device)
            assert ended.ok, ended
            assert net.seen.steps() == ALL_STEPS
            (proof,) = [item.text for item in net.seen.of(Proof) if "has seen its certificate" in item.text]
            server = f"127.0.0.1:{net.aaa[0].port}"
            assert proof == f"the device is EID {device.eid}: AAA server {server} has seen its certificate"
            assert set(net.client.counts) == {"answered"}
            assert net.client.dead == ()

    run(scenario())


@pytest.mark.slow
def test_a_device_that_hides_its_eid(tmp_path: Path) -> None:
    ended, net = attach(tmp_path, lambda net, device: trusting(net, device).but(hide_eid=True))
    assert ended.ok, ended
    assert net.seen.steps() == ALL_STEPS
    assert "AwaitProvedDevice+DeviceFound" in net.seen.transitions("cp")


# --- what the device allows ---------------------------------------------------------------------------------------


def test_a_device_whose_file_says_nothing_gives_no_msk(tmp_path: Path) -> None:
    ended, net = attach(tmp_path, lambda _net, device: device)
    assert (ended.ok, ended.cause) == (False, Cause.REQUEST_REJECTED)
    assert "ABBA 0001 is not allowed" in sentence(ended)
    assert "AwaitAuthentication+AuthenticationRequest" in net.seen.transitions("ue")


@pytest.mark.slow
def test_a_device_allows_it_to_one_authority_and_not_to_another(tmp_path: Path) -> None:
    ended, _ = attach(tmp_path, lambda net, device: trusting(net, device, anchors="ci.pem"))
    assert (ended.ok, ended.cause) == (False, Cause.NETWORK_ANCHOR_UNKNOWN)


def test_a_device_allows_it_to_one_name_and_not_to_another(tmp_path: Path) -> None:
    other = Fqdn("aaa.other.example")
    ended, net = attach(tmp_path, lambda net, device: trusting(net, device, server_name=other))
    assert (ended.ok, ended.cause) == (False, Cause.NETWORK_NAME_MISMATCH)
    assert "the device refused the network" in cp_said(net)


@pytest.mark.slow
def test_one_of_several_that_it_allows_is_enough(tmp_path: Path) -> None:
    def several(net: BehindAaa, device: Device) -> Device:
        right, wrong = (trusting(net, device, **over).settings.network for over in ({}, {"anchors": "ci.pem"}))
        return device.but(network=replace(right, msk=(*right.msk, *wrong.msk)))

    ended, _ = attach(tmp_path, several)
    assert ended.ok, ended


# --- what the CP decides ------------------------------------------------------------------------------------------


def test_a_device_without_an_order_is_told_so_under_its_keys(tmp_path: Path) -> None:
    ended, net = attach(tmp_path, ordered=False)
    assert (ended.ok, ended.cause) == (False, Cause.NO_ORDER)
    assert "no profile is ordered for this EID" in cp_said(net)
    assert not any("Register" in item for item in net.seen.transitions("cp"))
    assert "AwaitAttachAccept+AttachReject" in net.seen.transitions("ue")


def test_a_device_that_claims_the_eid_of_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with BehindAaa(tmp_path) as net:
            victim, thief = await net.device(), await net.device()
            stolen = replace(victim.settings, credential=thief.settings.credential, **ONCE)
            ended = await net.attach(trusting(net, replace(victim, settings=stolen)))
            assert (ended.ok, ended.cause) == (False, Cause.EID_MISMATCH)
            assert f"the certificate is of {thief.eid}, not of {victim.eid}" in cp_said(net)
            assert net.cp.registered == 0

    run(scenario())


@pytest.mark.slow
def test_a_device_of_another_ci_is_refused_by_the_server(tmp_path: Path) -> None:
    other = other_pki(tmp_path, PLMN)
    stranger = DeviceTrust(anchors=(ReadPath(other / "ci.pem"),))
    ended, net = attach(tmp_path, aaa=({"devices": stranger},))
    assert (ended.ok, ended.cause) == (False, Cause.EAP_FAILED)
    assert "has refused the device" in cp_said(net)


# --- several servers ----------------------------------------------------------------------------------------------


def nobody() -> socket.socket:
    """Somebody who listens and says nothing."""
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    return silent


@pytest.mark.slow
def test_the_next_server_is_asked_where_the_first_is_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        with nobody() as silent:
            net = BehindAaa(tmp_path, client={"patience": 0.8})
            net.know(*silent.getsockname())
            async with net:
                for device in [await net.device(), await net.device()]:
                    ended = await net.attach(trusting(net, device))
                    assert ended.ok, ended
                assert net.client.counts["failedOver"] == 1
                assert net.client.dead == ("{}:{}".format(*silent.getsockname()),)

    with caplog.at_level(logging.ERROR, "rprov.cp"):
        run(scenario())
    assert caplog.text.count("is taken for dead: it does not answer") == 1


@pytest.mark.slow
def test_no_server_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        with nobody() as silent:
            net = BehindAaa(tmp_path, aaa=(), client={"patience": 0.4})
            net.know(*silent.getsockname())
            async with net:
                device = trusting(net, await net.device()).but(**ONCE)
                ended = await net.attach(device)
                assert (ended.ok, ended.cause) == (False, Cause.NETWORK_FAILURE)
                assert "no answer of 127.0.0.1" in cp_said(net)

    run(scenario())


def test_over_tls(tmp_path: Path) -> None:
    """The CP proves itself with a certificate, and so does the server; the secret is a word that everybody knows."""
    place = AaaPlace(tmp_path)

    async def scenario() -> None:
        listen = RadsecListen(
            port=0,
            certificate=place.credentials("radsec-server"),
            anchors=(ReadPath(place.place / "radsec-ca.pem"),),
            clients=(Fqdn(CLIENT_NAME),),
        )
        net = BehindAaa(tmp_path / "net", aaa=())
        daemon = await net.start_aaa(radsec=listen, clients=())
        peer = RadsecPeer(
            certificate=place.credentials("radsec-client"),
            anchors=(ReadPath(place.place / "radsec-ca.pem"),),
            server_name=Fqdn(SERVER_NAME),
        )
        net.know("127.0.0.1", daemon._setup.radsec.port, secret=None, radsec=peer)
        async with net:
            for _ in range(2):
                assert (await net.attach(trusting(net, await net.device()))).ok
            assert net.client.counts["answered"] >= 8
        assert not net.seen.of(Discarded)

    run(scenario())
