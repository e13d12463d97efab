"""RADIUS over TLS while what is believed changes: CRLs and authorities of clients are read anew without a restart."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from doubles.aaa_place import CLIENT_NAME, SERVER_NAME, AaaPlace
from doubles.loop import run

from rprov.daemon import radsec
from rprov.daemon.aaa import AaaDaemon
from rprov.errors import ConfigError
from rprov.model.kinds import ReadPath
from rprov.store.crl import load_crl_file
from rprov.wire.radius import RADSEC_SECRET, Code, check_answer, decode, seal_request
from rprov.wiring.aaa import open_aaa
from rprov.wiring.node import Node

PATIENCE = 10.0
ASKED = seal_request(1, bytes(16), (), RADSEC_SECRET, Code.STATUS_SERVER)


class Client:
    """A client that may stay connected."""

    def __init__(self, place: AaaPlace, port: int, name: str = "radsec-client") -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(place.place / "server-ca.pem")
        context.load_cert_chain(place.place / f"{name}.pem", place.place / f"{name}.key")
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:  # which lives on in the stream
            self.stream = context.wrap_socket(plain, server_hostname=SERVER_NAME)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def is_served(self) -> bool:
        """Ask whether the server is there; not every refusal comes before the end of the handshake."""
        try:
            self.stream.sendall(ASKED)
            answer = self.stream.recv(4096)
        except OSError:
            return False
        if answer:
            check_answer(decode(answer), decode(ASKED), RADSEC_SECRET)
        return bool(answer)


def is_served(place: AaaPlace, port: int, name: str = "radsec-client") -> bool:
    try:
        with Client(place, port, name) as client:
            return client.is_served()
    except OSError:
        return False


@pytest.fixture
def place(tmp_path: Path) -> AaaPlace:
    made = AaaPlace(tmp_path)
    (tmp_path / "server-ca.pem").write_bytes(made.radsec_ca.public_bytes(Encoding.PEM))
    made.radsec("other", CLIENT_NAME, ExtendedKeyUsageOID.CLIENT_AUTH)
    return made


def serve(place: AaaPlace, story: Callable[[Node, int, Any], Any], crl: bool = True) -> None:
    """Tell a story in a thread, beside a running daemon; `call` runs something in the loop."""

    async def whole() -> None:
        settings = place.settings(radsec=True)
        assert settings.radsec is not None
        crls = (ReadPath(place.place / "radsec.crl"),) if crl else ()
        node = await open_aaa(replace(settings, radsec=replace(settings.radsec, crls=crls)), _Silent())
        daemon, loop = cast("AaaDaemon", node.daemon), asyncio.get_running_loop()

        def call(what: Callable[[], object]) -> None:
            async def done() -> None:
                what()

            asyncio.run_coroutine_threadsafe(done(), loop).result(PATIENCE)

        try:
            await daemon.start()
            assert daemon._setup.radsec is not None
            await asyncio.to_thread(story, node, daemon._setup.radsec.port, call)
        finally:
            await node.close()

    run(whole(), seconds=4 * PATIENCE)


class _Silent:
    def record(self, item: object) -> None:
        """Keep nothing."""


def test_a_client_that_is_revoked_is_thrown_out_and_nobody_else_is_refused(place):
    place.radsec_crl()

    def story(node, port, call):
        with Client(place, port) as client, Client(place, port, "other") as other:
            assert client.is_served()
            assert other.is_served()
            call(node.reload)  # nothing has changed: nobody notices
            assert client.is_served()
            place.radsec_crl("radsec-client")
            call(node.reload)
            assert not client.is_served()
            assert not other.is_served()  # it must connect anew …
            assert is_served(place, port, "other")  # … and may
            assert not is_served(place, port)

    serve(place, story)


def test_another_authority_counts_after_reloading(place):
    def story(node, port, call):
        with Client(place, port) as client:
            assert client.is_served()
            place.other_radsec_ca()
            place.radsec("newer", CLIENT_NAME, ExtendedKeyUsageOID.CLIENT_AUTH)
            assert not is_served(place, port, "newer")
            assert is_served(place, port)
            call(node.reload)
            assert not client.is_served()
            assert is_served(place, port, "newer")
            assert not is_served(place, port)

    serve(place, story, crl=False)


def test_a_bad_file_changes_nothing(place):
    good = place.radsec_crl().read_bytes()

    def story(node, port, call):
        with Client(place, port) as client:
            assert client.is_served()
            file = place.place / "radsec.crl"
            (crl,) = load_crl_file(file).crls
            certified = good + place.radsec_ca.public_bytes(Encoding.PEM)
            for octets, why in ((b"noise", "cannot be read"), (certified, "would trust"), (_der(crl), "in PEM")):
                file.write_bytes(octets)
                with pytest.raises(ConfigError, match=rf"radsec\.crl: .*{why}"):
                    call(node.reload)
            assert client.is_served()
            assert is_served(place, port)

    serve(place, story)


def _der(crl: Any) -> bytes:
    octets: bytes = crl.public_bytes(Encoding.DER)
    return octets


def test_a_crl_that_is_over_is_said_and_serves_nobody(place, caplog):
    place.radsec_crl(days=1, ago=timedelta(days=3))

    def story(_node, port, _call):
        assert not is_served(place, port)

    with caplog.at_level(logging.ERROR, "rprov.aaa"):
        serve(place, story)
    assert "radsec.crl: this CRL is over" in caplog.text


def test_handshakes_are_bounded(place, monkeypatch):
    monkeypatch.setattr(radsec, "SHAKING", 1)

    def story(_node, port, _call):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as silent:
            # Connections are accepted in their order, so that this one is next.
            assert not is_served(place, port)
            silent.shutdown(socket.SHUT_WR)
            assert silent.recv(1) == b""
        assert is_served(place, port)

    serve(place, story, crl=False)
