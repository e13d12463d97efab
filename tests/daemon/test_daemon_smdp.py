"""The SM-DP+ daemon: HTTP around the core. What it answers to whom, and what it makes of faults."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from doubles.logged import logged
from doubles.network import Network, run
from doubles.wrong_certificates import pair, smdp_certificate, with_certificates

from rprov.cli.demo_files import FQDN, LOCAL
from rprov.errors import ConfigError, EnvironmentLacks, Misuse
from rprov.model.places import HttpListen
from rprov.provision.sgp22.es9 import Function
from rprov.provision.sgp22.orders import LookUpDownload
from rprov.store.writer import StoreFailed

INITIATE = Function.INITIATE_AUTHENTICATION.path


@asynccontextmanager
async def server(place: Path, **changes: Any) -> AsyncIterator[tuple[Network, aiohttp.ClientSession]]:
    """An SM-DP+ alone, and a client that believes its CI."""
    net = Network(place, smdp=lambda settings: replace(settings, **changes))
    await net.start_smdp()
    context = ssl.create_default_context(cafile=str(net.files.pki / "ci.pem"))
    base = f"https://{LOCAL}:{net.smdp.port}"
    connector = aiohttp.TCPConnector(ssl=context)
    try:
        async with aiohttp.ClientSession(base, connector=connector) as client:
            yield net, client
            await asyncio.sleep(0)
    finally:
        await net.close()


async def post(client: aiohttp.ClientSession, path: str, body: bytes) -> tuple[int, Any, Any]:
    async with client.post(path, data=body, server_hostname=FQDN) as answer:
        return answer.status, answer.headers, await answer.read()


def test_what_is_no_request_of_es9_is_refused_by_http(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server(tmp_path) as (_, client):
            for body in (b"", b"{", b"[]", b"\xff\xfe", b'"text"'):
                status, _, text = await post(client, INITIATE, body)
                assert (status, text) == (400, b"the body is no JSON object of ES9+\n")
            assert (await post(client, "/gsma/rsp2/es9plus/nothing", b"{}"))[0] == 404
            async with client.get(INITIATE, server_hostname=FQDN) as answer:
                assert answer.status == 405

    run(scenario())


def test_a_refusal_of_the_core_is_an_answer_of_es9(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server(tmp_path) as (_, client):
            status, headers, body = await post(client, INITIATE, b"{}")
            assert status == 200
            assert headers["X-Admin-Protocol"] == "gsma/rsp/v2.2.2"
            assert headers["Content-Type"].startswith("application/json")
            assert b'"status":"Failed"' in body.replace(b" ", b"")

    run(scenario())


def test_too_much_is_not_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server(tmp_path) as (net, client):
            limit = net.smdp._setup.max_body
            assert (await post(client, INITIATE, b" " * (limit + 1)))[0] == 413

    run(scenario())


def test_a_store_that_fails_is_a_500_and_a_line_of_our_own_log(tmp_path: Path, capsys: Any) -> None:
    async def scenario() -> None:
        async with server(tmp_path) as (net, client):

            class Asking:
                def answer(self, *_: Any) -> Any:
                    return (yield LookUpDownload(b"1234"))

            class Broken:
                def __init__(self, error: Exception) -> None:
                    self.error = error

                async def answer(self, _query: Any) -> Any:
                    raise self.error

            working = net.smdp._setup
            for error in (StoreFailed("the disk is gone"), ZeroDivisionError("the disk is gone")):
                net.smdp._setup = replace(working, core=Asking(), store=Broken(error))  # type: ignore[arg-type]
                status, _, text = await post(client, INITIATE, b"{}")
                assert status == 500
                assert b"the disk" not in text, "it is nobody's business what has failed in here"
            net.smdp._setup = working
            assert (await post(client, INITIATE, b"{}"))[0] == 200, "it serves on"

    with logged() as records:
        run(scenario())
    failure, bug = records
    assert (failure.name, bug.name) == ("rprov.smdp", "rprov.smdp")
    assert "initiateAuthentication from 127.0.0.1: the disk is gone" in failure.getMessage()
    assert not failure.exc_info
    assert bug.exc_info, "a mistake of ours comes with where it is"
    assert capsys.readouterr().err == ""


def test_news_that_the_cp_does_not_take_wait(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server(tmp_path) as (net, client):

            async def busy() -> None:
                raise StoreFailed("the CP's store is locked")

            net.smdp._setup = replace(net.smdp._setup, deliver=busy)
            body = b'{"pendingNotification": "AA=="}'
            assert (await post(client, Function.HANDLE_NOTIFICATION.path, body))[0] in (200, 204)

    with logged() as records:
        run(scenario())
    assert "the CP was not told: the CP's store is locked" in [record.getMessage() for record in records]


def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with server(tmp_path) as (net, _):
            port = net.smdp.port
            with pytest.raises(EnvironmentLacks, match=rf"cannot listen at 127\.0\.0\.1:{port}"):
                async with server(tmp_path, listen=HttpListen(host=LOCAL, port=port)):  # type: ignore[arg-type]
                    pass

    run(scenario())


def test_the_port_is_known_only_while_it_listens(tmp_path: Path) -> None:
    async def scenario() -> None:
        net = Network(tmp_path)
        await net.start_smdp()
        daemon = net.smdp
        await net.close()
        await daemon.close()
        with pytest.raises(Misuse, match="does not listen"):
            _ = daemon.port

    run(scenario())


def test_new_certificates_are_taken_all_or_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        pki = tmp_path / "pki"
        async with server(tmp_path) as (net, client):
            node = net.smdp_node
            assert node is not None
            core = net.smdp._setup.core
            auth = pki / "dp-auth.pem"
            # A new certificate for signing, and a broken one for TLS: then neither.
            made = smdp_certificate(pki, "auth")
            before = core._settings
            for old, new in ((auth, made.chain), (pki / "dp-auth.key", made.key)):
                old.write_bytes(new.read_bytes())
            tls = (pki / "dp-tls.pem").read_bytes()
            (pki / "dp-tls.pem").write_text("no certificate")
            with pytest.raises(ConfigError, match=r"dp-tls\.pem"):
                node.reload()
            assert core._settings is before
            (pki / "dp-tls.pem").write_bytes(tls)
            node.reload()
            assert core._settings is not before
            assert (await post(client, INITIATE, b"{}"))[0] == 200

    run(scenario())


def test_certificates_that_do_not_fit_are_refused_at_the_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        net = Network(tmp_path)
        pki = net.files.pki
        mixed = replace(pair(pki, "dp-auth"), key=pair(pki, "dp-pb").key)
        net._change_smdp = lambda settings: with_certificates(settings, auth=mixed)
        with pytest.raises(ConfigError, match="not that of the certificate"):
            await net.start_smdp()
        net._change_smdp = lambda settings: replace(settings, anchors=(pair(pki, "network-ca").chain,))
        with pytest.raises(ConfigError, match="its issuer is not among the anchors"):
            await net.start_smdp()

    run(scenario())
