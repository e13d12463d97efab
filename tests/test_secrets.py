"""No key that a run has made is in anything that a run writes down: log lines, reports, traces, the text of any object.

Whole runs in memory, every logger at DEBUG. Every `Secret` that comes into being is noted, and CK and IK with it; then
all that was written is searched for each of them, in hexadecimal, base64, as Python writes octets, and raw.
"""

import base64
import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from doubles import certificates, fake_scheme
from doubles.world import IMSI, OPC, K, World, ordinary, provisioning, then_download

from rprov.auth.usim import ARRAY_SIZE, AkaSuccess, Usim
from rprov.crypto.aka_functions import aka_functions
from rprov.errors import DecodeError
from rprov.model.identifiers import Supi
from rprov.model.report import Discarded, MessageSeen, Proof, StepEnded, Transition
from rprov.model.secret import Secret
from rprov.model.sections import (
    LogFormat,
    LogLevel,
)
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.procedure import events as ev
from rprov.trace.log import ROOT, configure
from rprov.trace.recorder import JsonLinesRecorder, LogRecorder
from rprov.wire import messages as nas

SMALLEST = 8
"""Shorter secrets would be found by chance."""

SUPI = Supi.of_imsi(IMSI)
TUAK_KEYS = Secret(bytes(range(100, 132))), Secret(bytes(range(32)))
HIERARCHY = {"KAusf", "KSeaf", "KAmf", "KNasInt", "KNasEnc", "KGnb", "KRrcInt", "KRrcEnc", "KUpInt", "KUpEnc"}


class Kept:
    """All text of a run, and all of its keys by what they are."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.keys: dict[bytes, str] = {}

    def key(self, octets: bytes, name: str) -> None:
        if len(octets) >= SMALLEST and any(octets):
            self.keys.setdefault(bytes(octets), name)

    def write(self, thing: object) -> None:
        self.text.write(f"{thing!r}\n{thing}\n")

    def leaks(self) -> list[str]:
        """Names of the keys that the text gives away."""
        text = self.text.getvalue()
        low, raw = text.lower(), text.encode("utf-8", "surrogateescape") + text.encode("latin-1", "replace")
        found = []
        for octets, name in self.keys.items():
            head = octets[:16]
            spellings = (head.hex(), head.hex(" "), head.hex(":"), head.hex(","), str(list(head))[1:-1])
            in_base64 = base64.b64encode(octets[: len(octets) // 3 * 3]).decode()
            written = repr(head)[2:-1]
            if any(spelling in low for spelling in spellings) or in_base64 in text or written in text or head in raw:
                found.append(name)
        return found


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """Notes every secret from now on, and whatever any logger of rprov says."""
    all_of_it = Kept()
    made = Secret.__init__

    def note(self: Secret, octets: bytes) -> None:
        made(self, octets)
        all_of_it.key(octets, type(self).__name__)

    monkeypatch.setattr(Secret, "__init__", note)
    authenticate = Usim.authenticate

    def note_answer(self: Usim, rand: bytes, autn: bytes) -> Any:
        result = authenticate(self, rand, autn)
        if isinstance(result, AkaSuccess):
            all_of_it.key(result.ck, "CK")
            all_of_it.key(result.ik, "IK")
        return result

    monkeypatch.setattr(Usim, "authenticate", note_answer)
    for key, name in ((K, "K"), (OPC, "OPc"), (TUAK_KEYS[0], "K of TUAK"), (TUAK_KEYS[1], "TOPc")):
        all_of_it.key(key.octets, name)
    logger = configure(LogLevel.DEBUG, LogFormat.TEXT, all_of_it.text)
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    everything = logging.StreamHandler(all_of_it.text)
    root.addHandler(everything)
    yield all_of_it
    root.removeHandler(everything)
    root.setLevel(before)
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


def objects_of(thing: object, seen: set[int]) -> Iterator[object]:
    """A thing and every object of rprov that it holds, however deep; what a `Secret` holds is its own affair."""
    if id(thing) in seen or isinstance(thing, str | bytes | int | float | None):
        return
    seen.add(id(thing))
    if isinstance(thing, dict):
        parts = [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        parts = list(thing)
    elif type(thing).__module__.startswith("rprov.") and not isinstance(thing, type):
        yield thing
        names = {name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())}
        names |= set(getattr(thing, "__dict__", {}))
        parts = [] if isinstance(thing, Secret) else [getattr(thing, name, None) for name in sorted(names)]
    else:
        return
    for part in parts:
        yield from objects_of(part, seen)


class Watched(World):
    """A world that shows itself after every frame, and every action that its cores ask for."""

    def __init__(self, kept: Kept, *arguments: Any, **options: Any) -> None:
        self.kept = kept
        self.classes: set[str] = set()
        super().__init__(*arguments, **options)

    def show(self, *things: object) -> None:
        seen: set[int] = set()
        for thing in things:
            for found in objects_of(thing, seen):
                self.classes.add(type(found).__name__)
                self.kept.write(found)

    def deliver(self, frame: Any) -> None:
        super().deliver(frame)
        self.show([ue.endpoint for ue in self.ues], self.rans, self.cps, self.subscribers, self.devices)
        self.show([ue.bearers for ue in self.ues], self.ran_bearers, [ue.usim for ue in self.ues])

    def _ue(self, node: Any, actions: list[Any]) -> None:
        self.show(actions)
        super()._ue(node, actions)

    def _ran(self, ran: Any, actions: list[Any]) -> None:
        self.show(actions)
        super()._ran(ran, actions)

    def _cp(self, endpoint: Any, actions: list[Any]) -> None:
        self.show(actions)
        super()._cp(endpoint, actions)


def watched(kept: Kept, method: AkaMethod, algorithm: AkaAlgorithm, sides: Any = fake_scheme) -> tuple[Watched, Any]:
    world = Watched(kept, sides.cp_side(), sides.ue_side())
    k, opc = TUAK_KEYS if algorithm is AkaAlgorithm.TUAK else (K, OPC)
    record = replace(world.subscribers[SUPI], k=k, opc=opc, algorithm=algorithm, method=method, sqn=32)
    world.subscribers[SUPI] = record
    card = Usim(k, opc, (1,) * ARRAY_SIZE, aka_functions(algorithm, k, opc))
    return world, world.add_ue(usim=card)


def written_down(world: World, kept: Kept) -> None:
    """Let everything that a run may leave behind be written, in every form."""
    lines = JsonLinesRecorder(kept.text, 0.0)
    log = LogRecorder(logging.getLogger(f"{ROOT}.run"))
    for item in world.items:
        kept.write(item)
        log.record(item)
        lines.record(item)
    assert lines.dropped == 0


@pytest.mark.parametrize("algorithm", AkaAlgorithm)
@pytest.mark.parametrize("method", AkaMethod)
def test_an_ordinary_run_gives_no_key_away(kept: Kept, method: AkaMethod, algorithm: AkaAlgorithm) -> None:
    world, ue = watched(kept, method, algorithm)
    world.want(ue, ordinary())
    world.pump()
    assert world.state(ue) == "Online"
    world.ue_event(ue, ev.DetachWanted())
    world.pump()
    written_down(world, kept)
    assert {type(item) for item in world.items} >= {MessageSeen, Transition, Proof, StepEnded}
    assert set(kept.keys.values()) >= HIERARCHY | {"CK", "IK"}
    assert ("Emsk" in kept.keys.values()) is (method is AkaMethod.EAP_AKA_PRIME)
    shown = {
        "UeEndpoint",
        "RanEndpoint",
        "CpEndpoint",
        "NasEndpoint",
        "SecurityContext",
        "PdcpEntity",
        "AsKeys",
        "Usim",
    }
    shown |= {"AwaitVerdict", "AwaitAuthenticationResponse", "AwaitSecurityModeComplete", "AwaitContextSetup", "KAmf"}
    assert world.classes >= shown
    assert len(kept.text.getvalue()) > 100_000
    assert kept.leaks() == []


@pytest.mark.parametrize("sides", [fake_scheme, certificates], ids=["fake", "EAP-TLS"])
def test_all_seven_steps_give_no_key_away(kept: Kept, sides: Any) -> None:
    world, ue = watched(kept, AkaMethod.EAP_AKA_PRIME, AkaAlgorithm.MILENAGE, sides)
    world.want(ue, provisioning())
    world.pump()
    assert ue.outcome.ok
    written_down(world, kept)
    assert set(kept.keys.values()) >= HIERARCHY | {"CK", "IK", "Emsk", "Msk"}
    assert kept.leaks() == []


def test_the_variant_with_a_first_subscription_gives_no_key_away(kept: Kept) -> None:
    world, ue = watched(kept, AkaMethod.FIVE_G_AKA, AkaAlgorithm.MILENAGE)
    world.want(ue, then_download())
    world.pump()
    assert ue.outcome.ok
    written_down(world, kept)
    assert kept.leaks() == []


@pytest.mark.parametrize("method", AkaMethod)
def test_runs_that_fail_give_no_key_away(kept: Kept, method: AkaMethod) -> None:
    """Resynchronised, given another subscriber's key, changed and cut on the way."""
    world, ue = watched(kept, method, AkaAlgorithm.MILENAGE)
    world.subscribers[SUPI] = replace(world.subscribers[SUPI], sqn=0)
    world.want(ue, ordinary())
    world.pump()
    assert world.state(ue) == "Online"
    world, ue = watched(kept, method, AkaAlgorithm.MILENAGE)
    world.subscribers[SUPI] = replace(world.subscribers[SUPI], k=Secret(b"another key here"))
    world.want(ue, ordinary())
    world.pump()
    assert not ue.outcome.ok
    written_down(world, kept)
    for position in (6, 9, -1):
        world, ue = watched(kept, method, AkaAlgorithm.MILENAGE)

        def change(frame: Any, position: int = position) -> list[Any]:
            octets = bytearray(frame.octets)
            if len(octets) > 40:
                octets[position] ^= 1
            return [replace(frame, octets=bytes(octets))]

        world.between = change
        world.want(ue, ordinary())
        world.pump()
        world.fire_all()
        written_down(world, kept)
        assert any(isinstance(item, Discarded) for item in world.items)
    assert kept.leaks() == []


# --- the search itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "leak",
    [
        bytes.hex,
        lambda key: key.hex().upper(),
        lambda key: key.hex(" "),
        lambda key: key.hex(":"),
        repr,
        list,
        bytearray,
        lambda key: base64.b64encode(key).decode(),
        lambda key: key.decode("latin-1"),
        lambda key: nas.Eap(b"in the middle of" + key + b"a packet"),
        lambda key: {"k": (1, key)},
        lambda key: DecodeError(f"bad key {key.hex()}"),
    ],
)
@pytest.mark.parametrize(
    "octets", [bytes(range(0x71, 0x81)), bytes(range(0xC0, 0xE0)), b"'\"\\\n\r\t\0\x80\xff\xfe\xfd\xfc1234"]
)
def test_the_search_finds_a_key_however_it_is_written(leak: Any, octets: bytes) -> None:
    kept = Kept()
    kept.key(octets, "K")
    kept.write("nothing to see")
    assert kept.leaks() == []
    kept.write(leak(octets))
    assert kept.leaks() == ["K"]


def test_what_one_object_holds_deep_inside_is_found() -> None:
    secret = Secret(bytes(16))
    held = ev.AttachWanted(ordinary()), {1: [secret]}
    names = {type(found).__name__ for found in objects_of(held, set())}
    assert names >= {"AttachWanted", "Intent", "Subscription", "Imsi", "Plmn", "Secret"}
