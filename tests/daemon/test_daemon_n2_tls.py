"""N2 under TLS between the daemons: who is taken, what a RAN is told, and certificates that change while they run."""

import asyncio
import logging
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from doubles.network import LOCAL, PLMN, Network, run, until
from doubles.pki import OTHER_PLMN

from rprov.causes import Cause
from rprov.errors import ConfigError, Refused
from rprov.model.identifiers import CpUeId, RanUeId
from rprov.model.kinds import ReadPath
from rprov.model.n2 import N2ClientTls
from rprov.model.numbers import Ppid
from rprov.model.settings import CpSettings, RanSettings
from rprov.model.trust import CredentialFiles
from rprov.store.crl import revoke
from rprov.store.pki import Issuing, init_pki, issue_ran
from rprov.transport.tcp import bare_tcp
from rprov.wire.link import N2Frame, N2Kind, N2SetupFailure, N2SetupRequest, decode_n2_frame
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wiring.n2 import ran_protection


def issuing(days: int = 10, began: int = 1) -> Issuing:
    """As the demo issues; `began` days ago."""
    return Issuing(datetime.now(UTC) - timedelta(days=began), os.urandom, days)


def with_tls(settings: RanSettings, **changes: Any) -> RanSettings:
    """The same RAN with other settings of TLS."""
    assert settings.cp.tls is not None
    return replace(settings, cp=replace(settings.cp, tls=replace(settings.cp.tls, **changes)))


def pair(place: Path, name: str) -> CredentialFiles:
    return CredentialFiles(chain=ReadPath(place / f"{name}.pem"), key=ReadPath(place / f"{name}.key"))


def test_n2_of_the_demo_is_protected(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, n2_tls=True) as net:
            assert net.ran._n2 is not None
            assert net.ran._n2.peer_names == (PLMN.cp_name,)
            assert net.ran._n2.carrier == "tcp+tls"
            assert (await net.attach(await net.device())).ok

    run(scenario())


def test_a_ran_may_not_call_itself_what_its_certificate_does_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, n2_tls=True) as net:
            protection = ran_protection(net.files.ran(net.cp.port), bare_tcp)
            link = await protection.transport.connect(LOCAL, net.cp.port)
            hello = LinkAsn1().encode(N2SetupRequest("somebody-else", PLMN, 2))
            await link.send(0, Ppid.N2, N2Frame(RanUeId(0), CpUeId(0), N2Kind.CONTROL, hello).encode())
            answer = await link.receive()
            assert answer is not None
            refusal = LinkAsn1().decode(decode_n2_frame(answer.payload).payload)
            assert refusal == N2SetupFailure(Cause.NODE_NAME_MISMATCH)
            assert await link.receive() is None
            link.abort()

    run(scenario())


def test_without_tls_at_both_ends_a_ran_may_call_itself_what_it_likes_but_not_its_network(tmp_path: Path) -> None:
    def plain(settings: RanSettings) -> RanSettings:
        return replace(settings, name="whoever I am")

    async def scenario() -> None:
        async with Network(tmp_path, ran=plain) as net:
            assert net.ran._n2 is not None
            assert net.ran._n2.peer_names is None
            await net.stop_ran()
            net._change_ran = lambda settings: replace(plain(settings), plmn=OTHER_PLMN)
            with pytest.raises(Refused, match="this network is not allowed"):
                await net.start_ran()

    run(scenario())


def test_a_ran_whose_certificate_names_another_does_not_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, n2_tls=True) as net:
            await net.stop_ran()
            net._change_ran = lambda settings: replace(settings, name="ran-2")
            with pytest.raises(ConfigError, match=r"ran\.pem: names ran\.ran\.mnc001.*, not ran-2\.ran\."):
                await net.start_ran()

    run(scenario())


async def told(caplog: pytest.LogCaptureFixture, *texts: str) -> None:
    """Wait until all of these have been logged."""
    await until(lambda: all(text in caplog.text for text in texts))


def test_an_expired_ran_is_refused_until_its_certificate_is_renewed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, n2_tls=True) as net:
            port = await net.stop_ran()
            issue_ran(net.files.pki, issuing(days=1, began=2), "ran", PLMN, "old")
            net._change_ran = lambda settings: with_tls(settings, certificate=pair(net.files.pki, "old"))
            starting = asyncio.create_task(net.start_ran(port))
            # Both ends say it: the CP who it was and why, the RAN what it was told.
            await told(caplog, "the network's certificate has expired", "the peer refuses: certificate expired")
            assert not starting.done(), "it tries again, for its certificate may be renewed"
            for suffix in (".pem", ".key"):
                (net.files.pki / f"ran{suffix}").replace(net.files.pki / f"old{suffix}")
            assert net.ran_node is not None
            net.ran_node.reload()
            await starting
            assert net.ran._n2 is not None

    with caplog.at_level(logging.INFO):
        run(scenario())


def test_a_ran_that_is_revoked_is_thrown_out_at_the_next_reload(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        def with_crl(settings: CpSettings) -> CpSettings:
            assert settings.n2.tls is not None
            pki = Path(settings.n2.tls.certificate.chain).parent
            revoke(pki, issuing())
            tls = replace(settings.n2.tls, crls=(ReadPath(pki / "network-ca.crl"),), require_crl=True)
            return replace(settings, n2=replace(settings.n2, tls=tls))

        async with Network(tmp_path, cp=with_crl, n2_tls=True) as net:
            first = net.ran._n2
            assert first is not None
            revoke(net.files.pki, issuing(), [net.files.pki / "ran.pem"])
            assert net.cp_node is not None
            net.cp_node.reload()
            await until(lambda: net.ran._n2 is not first)
            await told(caplog, "a certificate of the device is revoked", "the peer refuses: certificate revoked")
            assert net.ran._n2 is None

    with caplog.at_level(logging.INFO):
        run(scenario())


def test_files_that_cannot_be_used_change_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, n2_tls=True) as net:
            key = net.files.pki / "ran.key"
            good = key.read_bytes()
            key.write_bytes((net.files.pki / "cp.key").read_bytes())
            assert net.ran_node is not None
            with pytest.raises(ConfigError, match="not that of the certificate"):
                net.ran_node.reload()
            key.write_bytes(good)
            port = await net.stop_cp()
            await net.start_cp(port)
            await until(lambda: net.ran._n2 is not None)

    run(scenario())


def test_a_cp_under_another_authority_is_not_believed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Network(tmp_path, n2_tls=True) as net:
            init_pki(tmp_path / "other", issuing(), PLMN, "smdp.example.com", "89049032")
            port = await net.stop_cp()

            def impostor(settings: CpSettings) -> CpSettings:
                assert settings.n2.tls is not None
                tls = replace(settings.n2.tls, certificate=pair(tmp_path / "other", "cp"))
                return replace(settings, n2=replace(settings.n2, tls=tls))

            net._change_cp = impostor
            await net.start_cp(port)
            await told(caplog, "does not lead to an anchor", "the peer refuses: unknown ca")
            assert net.ran._n2 is None

    with caplog.at_level(logging.INFO):
        run(scenario())


def test_protection_and_its_absence_cannot_both_be_asked_for(tmp_path: Path) -> None:
    settings = Network(tmp_path).files.ran(1)
    tls = settings.cp.tls
    assert isinstance(tls, N2ClientTls)
    with pytest.raises(ConfigError, match="contradicts tls"):
        replace(settings.cp, insecure=True)
    far = replace(settings.cp, host="192.0.2.1")
    with pytest.raises(ConfigError, match="would run unprotected"):
        replace(far, tls=None)
    assert replace(far, tls=None, insecure=True).insecure
    with pytest.raises(ConfigError, match="needs crls"):
        replace(tls, require_crl=True)
