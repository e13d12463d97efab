"""Step 7 over real sockets with every way of AKA, from the order of the profile to the ordinary session."""

from dataclasses import replace
from pathlib import Path

import pytest
from doubles.network import Network, run

from rprov.cli.order import concealment
from rprov.crypto.suci import PROFILE_A, PROFILE_B
from rprov.model.kinds import ReadPath
from rprov.model.report import MessageSeen, Proof
from rprov.model.sections import (
    HomeNetworkKeySettings,
    SuciScheme,
)
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.model.settings import CpSettings, Plan
from rprov.provision.profile import parse_profile
from rprov.store.ordering import Given
from rprov.store.pki import make_suci_key


@pytest.mark.parametrize("method", AkaMethod)
@pytest.mark.parametrize("algorithm", AkaAlgorithm)
def test_the_profile_that_was_ordered_lets_its_device_in(
    tmp_path: Path, algorithm: AkaAlgorithm, method: AkaMethod
) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            given = Given(algorithm=algorithm, method=method)
            device = await net.device(given=given, suci_key=concealment(net.files.cp(net.smdp.port)))
            async with net.ue(device) as ue:
                ended = await ue.outcome()
                assert ended.ok, ended
                assert ue.daemon.subscriber == device.names
            assert net.seen.steps() == [(step, True) for step in range(1, 8)]
            # The card was saved: it comes back with its algorithm and its sequence numbers.
            net.seen.items.clear()
            assert (await net.attach(device, Plan.ATTACH)).ok
            rounds = [item.name for item in net.seen.of(MessageSeen) if item.role == "ue" and item.link == "radio"]
            assert rounds.count("AuthenticationRequest") == 1

    run(scenario())


@pytest.mark.parametrize(("scheme", "name"), [(SuciScheme.PROFILE_A, "Profile A"), (SuciScheme.PROFILE_B, "Profile B")])
def test_the_supi_crosses_the_radio_concealed(tmp_path: Path, scheme: SuciScheme, name: str) -> None:
    """Two schemes may give their keys the same id."""
    own = tmp_path / "own"
    (path_a,) = make_suci_key(own, PROFILE_A, lambda size: bytes([7]) * size, "a")
    (path_b,) = make_suci_key(own, PROFILE_B, lambda size: bytes([7]) * size, "b")
    keys = (
        HomeNetworkKeySettings(id=9, scheme=SuciScheme.PROFILE_A, key=ReadPath(path_a)),
        HomeNetworkKeySettings(id=9, scheme=SuciScheme.PROFILE_B, key=ReadPath(path_b)),
    )

    def with_keys(settings: CpSettings) -> CpSettings:
        return replace(settings, suci_keys=keys)

    async def scenario() -> None:
        async with Network(tmp_path, cp=with_keys) as net:
            settings = replace(net.files.cp(net.smdp.port), suci_keys=tuple(k for k in keys if k.scheme is scheme))
            device = await net.device(suci_key=concealment(settings))
            assert parse_profile(device.new.package).suci_key == concealment(settings)
            async with net.ue(device) as ue:
                assert (await ue.outcome()).ok
            proofs = [item.text for item in net.seen.of(Proof) if item.role == "cp"]
            assert f"the SUPI has crossed the radio concealed ({name}, key 9)" in proofs

    run(scenario())
