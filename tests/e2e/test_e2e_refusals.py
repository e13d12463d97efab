"""Everybody's no, over real sockets: each with its own cause and its own sentence for the person at the device."""

import asyncio
import errno
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from doubles.network import Device, Network, Seen, ends, run, until
from doubles.wrong_certificates import (
    network_certificate,
    other_pki,
    pair,
    smdp_certificate,
    with_certificates,
)

from rprov.causes import Cause
from rprov.cli.demo_files import PLMN, SERVER
from rprov.crypto.x509 import Role
from rprov.daemon.ue import UeDaemon, sentence
from rprov.daemon.ue_network import UeNetwork
from rprov.errors import Refused
from rprov.model.identifiers import Iccid, Plmn
from rprov.model.kinds import ReadPath
from rprov.model.policy import Timers
from rprov.model.report import MessageSeen, Proof
from rprov.model.secret import Secret
from rprov.model.session import ProvisioningProtocol, ProvisioningServer, SessionKind
from rprov.procedure.actions import Conclude, Send
from rprov.provision.sgp22.lpa import Lpa
from rprov.wire.messages import PduSessionRequest

SHORT = Timers(tombstone=0.05)


async def refused(net: Network, device: Device) -> Conclude:
    """Let a device try, and see that nothing is left of it."""
    async with net.ue(device) as ue:
        ended = await ue.outcome()
        assert not ended.ok
    await until(lambda: net.empty)
    return ended


def rehearse(
    tmp_path: Path,
    cause: Cause,
    words: str,
    prepare: Callable[[Network], Awaitable[Device]] = lambda net: net.device(),
    **changes: Any,
) -> Seen:
    """One device, one refusal; gives what was seen."""

    async def scenario() -> Seen:
        async with Network(tmp_path, timers=SHORT, **changes) as net:
            ended = await refused(net, await prepare(net))
            assert ended.cause is cause, ended
            assert re.search(words, sentence(ended)), sentence(ended)
            return net.seen

    seen: Seen = run(scenario())
    return seen


def test_no_order(tmp_path: Path) -> None:
    seen = rehearse(
        tmp_path, Cause.NO_ORDER, "no profile is ordered for this EID", lambda net: net.device(ordered=False)
    )
    # It was the true device that was told so: a stranger learns nothing about orders.
    assert any("the device is EID" in item.text for item in seen.of(Proof))


def test_the_cp_does_not_know_the_devices_ci(tmp_path: Path) -> None:
    other = other_pki(tmp_path, PLMN)
    rehearse(
        tmp_path,
        Cause.UNKNOWN_CI,
        "does not lead to a certificate issuer that the network trusts",
        cp=lambda settings: replace(settings, devices=replace(settings.devices, anchors=(ReadPath(other / "ci.pem"),))),
    )


def test_the_network_has_the_certificate_of_another_plmn(tmp_path: Path) -> None:
    def change(settings: Any) -> Any:
        wrong = network_certificate(tmp_path / "pki", "cp-of-another", Plmn("999", "70").cp_name)
        return replace(settings, certificate=wrong)

    rehearse(tmp_path, Cause.NETWORK_NAME_MISMATCH, "names another network than the one announced", cp=change)


def test_the_network_is_certified_by_somebody_else(tmp_path: Path) -> None:
    other = other_pki(tmp_path, PLMN)
    rehearse(
        tmp_path,
        Cause.NETWORK_ANCHOR_UNKNOWN,
        "does not lead to an anchor that the device trusts",
        cp=lambda settings: replace(settings, certificate=pair(other, "cp")),
    )


def test_the_network_does_not_hold_the_subscriber_key(tmp_path: Path) -> None:
    async def prepare(net: Network) -> Device:
        device = await net.device(ordered=False)
        wrong = replace(device.new.subscriber, k=Secret(bytes(16)))
        async with net.stores() as (store, cp_store):
            await store.add_order_and_subscriber(device.order, device.new.package, wrong)
            await store.deliver(cp_store)
        return device

    seen = rehearse(tmp_path, Cause.MAC_FAILURE, "does not hold the subscriber key", prepare)
    assert seen.steps()[-1] == (7, False)


# --- the SM-DP+ -------------------------------------------------------------------------------------------------------


def smdp_with(tmp_path: Path, **wrong: Any) -> Callable[[Any], Any]:
    def change(settings: Any) -> Any:
        made = {kind: smdp_certificate(tmp_path / "pki", kind, **over) for kind, over in wrong.items()}
        return with_certificates(settings, **made)

    return change


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {"tls": {"policies": (Role.DP_AUTH.oid,)}},
            "the server's TLS certificate: the certificate has the wrong role",
        ),
        ({"tls": {"fqdn": "other.example.com"}}, "smdp.example.com port 443: .*[Hh]ostname mismatch"),
        (
            {"auth": {"policies": (Role.DP_PB.oid,)}},
            "card refused AuthenticateServer: 1 invalid certificate: .*role DP_PB",
        ),
        (
            {"pb": {"policies": (Role.DP_AUTH.oid,)}},
            "card refused PrepareDownload: 1 invalid certificate: .*role DP_AUTH",
        ),
    ],
    ids=["tls-role", "tls-name", "auth-role", "pb-role"],
)
def test_an_smdp_whose_certificate_is_wrong(tmp_path: Path, wrong: Any, words: str) -> None:
    seen = rehearse(tmp_path, Cause.PROVISIONING_FAILED, words, smdp=smdp_with(tmp_path, **wrong))
    assert seen.steps()[-1] == (5, False), "the step that failed is that of the download"
    assert "DetachRequest" in [item.name for item in seen.of(MessageSeen)], "it has left in order"
    posted = [item.name for item in seen.of(MessageSeen) if item.link == "es9" and item.sender == "ue"]
    assert not ("tls" in wrong and posted), "something was posted to a server that nobody believes"


def test_an_smdp_under_another_ci(tmp_path: Path) -> None:
    other = other_pki(tmp_path, PLMN)
    rehearse(
        tmp_path,
        Cause.PROVISIONING_FAILED,
        "smdp.example.com port 443: .*certificate verify failed",
        smdp=lambda settings: with_certificates(settings, tls=pair(other, "dp-tls")),
    )


def test_an_smdp_that_authenticates_under_another_ci(tmp_path: Path) -> None:
    other = other_pki(tmp_path, PLMN)

    def change(settings: Any) -> Any:
        certified = with_certificates(settings, auth=pair(other, "dp-auth"), pb=pair(other, "dp-pb"))
        return replace(certified, anchors=(*settings.anchors, ReadPath(other / "ci.pem")))

    rehearse(
        tmp_path,
        Cause.PROVISIONING_FAILED,
        "the SM-DP\\+ refused initiateAuthentication: 8.8.4/3.7 no SM-DP\\+ certificate under a certificate issuer",
        smdp=change,
    )


def test_a_device_that_asks_for_the_profile_of_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            owner, thief = await net.device(), await net.device()
            async with net.ue(thief) as ue:
                download = ue.daemon._setup.provisioner
                protocols = {ProvisioningProtocol.SGP22: Lpa(matching_id=owner.order.matching_id, enable=False)}
                download._protocols = protocols  # type: ignore[attr-defined]
                ended = await ue.outcome()
            assert ended.cause is Cause.PROVISIONING_FAILED
            assert re.search("the SM-DP\\+ refused authenticateClient: .*EID", sentence(ended)), sentence(ended)
            # The owner gets it all the same.
            assert (await net.attach(owner)).ok

    run(scenario())


# --- the restriction --------------------------------------------------------------------------------------------------


class Curious:
    """Uses the session for provisioning for something else; ends as a download that has failed."""

    def __init__(self, look: Callable[[UeNetwork], Awaitable[None]]) -> None:
        self.look = look
        self.error: BaseException | None = None

    async def download(self, servers: tuple[ProvisioningServer, ...], network: UeNetwork) -> Iccid:
        assert [server.fqdn for server in servers] == ["smdp.example.com"]
        try:
            await self.look(network)
        except BaseException as error:
            self.error = error
            raise
        raise Refused(Cause.PROVISIONING_FAILED, "it has looked around")


def curious(tmp_path: Path, look: Callable[[Network, UeDaemon, UeNetwork], Awaitable[None]]) -> None:
    """Put somebody else's program into a device's session for provisioning."""

    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            async with net.ue(await net.device()) as ue:
                program = Curious(lambda network: look(net, ue.daemon, network))
                ue.daemon._setup = replace(ue.daemon._setup, provisioner=program)
                ended = await ue.outcome()
                if program.error is not None:
                    raise program.error
                assert "it has looked around" in sentence(ended)
            await until(lambda: net.empty)

    run(scenario())


def test_a_session_for_provisioning_reaches_nothing_else(tmp_path: Path) -> None:
    async def look(net: Network, _ue: UeDaemon, network: UeNetwork) -> None:
        places = [
            (IPv4Address("198.51.100.7"), 443),
            (IPv4Address("127.0.0.1"), net.cp.port),
            (IPv4Address("10.45.0.1"), 80),
            (SERVER, 80),
        ]
        for number, (address, port) in enumerate(places, 1):
            async with asyncio.timeout(1):  # the network says so itself: nobody waits for a SYN to time out
                with pytest.raises(OSError) as caught:
                    await network.connect(address, port)
            assert caught.value.errno == errno.EHOSTUNREACH
            assert "prohibited" in str(caught.value)
            assert net.up.dropped()["destinationNotAllowed"] == number
        stream = await network.connect(SERVER, 443)
        stream.abort()

    curious(tmp_path, look)


def test_the_resolver_of_the_session_tells_one_name(tmp_path: Path) -> None:
    async def look(_net: Network, _ue: UeDaemon, network: UeNetwork) -> None:
        assert await network.resolve("smdp.example.com") == SERVER
        for name in ("www.example.com", "x.smdp.example.com", "exfiltrated-secret.tunnel.example.org"):
            with pytest.raises(socket.gaierror, match="refuses to answer"):
                await network.resolve(name)

    curious(tmp_path, look)


@pytest.mark.parametrize(
    ("kind", "cause"),
    [(SessionKind.PROVISIONING, Cause.SESSION_LIMIT), (SessionKind.ORDINARY, Cause.SCOPE_FORBIDS)],
    ids=["second", "ordinary"],
)
def test_a_second_session_is_refused(tmp_path: Path, kind: SessionKind, cause: Cause) -> None:
    async def look(net: Network, ue: UeDaemon, _network: UeNetwork) -> None:
        said = net.seen.next(lambda item: isinstance(item, Proof) and item.role == "cp" and "refused" in item.text)
        told = net.seen.next(lambda item: isinstance(item, MessageSeen) and item.name == "PduSessionReject")
        endpoint = ue._endpoint

        def ask_again() -> Any:
            env = ue._env()
            return endpoint._nas(endpoint.nas._perform_one(Send(PduSessionRequest(2, kind)), env), env)

        ue._post(ask_again)
        async with asyncio.timeout(2):
            assert cause.text in (await said).text
            await told
        assert len(net.sessions) == 1

    curious(tmp_path, look)


def test_the_steps_of_a_refused_device_say_where_and_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, timers=SHORT) as net:
            failed = net.seen.next(ends(2, ok=False))
            await refused(net, await net.device(ordered=False))
            assert Cause.NO_ORDER.text in (await failed).detail
            cp = net.seen.next(ends(2, "cp", ok=False))
            await refused(net, await net.device(ordered=False))
            assert Cause.NO_ORDER.text in (await cp).detail

    run(scenario())
