"""The UE's hold on its eUICC: power it, enable a profile, run its USIM, and keep its state in a store.

Nothing that the card has accepted is lost: its state is saved before anybody hears of it.
"""

import asyncio
from datetime import UTC, datetime
from typing import Protocol

from rprov.auth.usim import IND_BITS, Usim
from rprov.crypto.aka_functions import aka_functions
from rprov.errors import Misuse
from rprov.model.identifiers import Eid, Iccid
from rprov.procedure.purpose import Subscription
from rprov.provision.euicc.es10 import Euicc
from rprov.provision.euicc.state import CardState, InstalledProfile
from rprov.provision.profile import parse_profile
from rprov.provision.protocol import CardCommand
from rprov.provision.sgp22 import lpa_card
from rprov.provision.sgp22.metadata import ProfileMetadata


class CardStore(Protocol):
    """Where a card's state is kept."""

    async def save(self, eid: Eid, state: bytes, after: int = 0) -> int:
        """Keep a state that follows the one with number `after`; gives its number."""


class CardHolder:
    """One eUICC in its device. `version` is the number under which its state was loaded, 0 for a new card.

    `age_limit` is how far SEQ of a challenge may lie behind the newest that the USIM has accepted; `None`: no limit.
    """

    def __init__(self, euicc: Euicc, store: CardStore, version: int, age_limit: int | None = None) -> None:
        self._euicc = euicc
        self._store = store
        self._version = version
        self._age_limit = age_limit
        self._saved = euicc.state if version else None
        self._usim: tuple[Iccid, Usim] | None = None
        self._saving: asyncio.Task[None] | None = None

    @property
    def eid(self) -> Eid:
        """The card's EID."""
        return self._euicc.state.eid

    def execute(self, command: bytes) -> bytes:
        """Give the card a command of ES10; gives data and two status octets."""
        self._euicc.wall = datetime.now(UTC)
        return self._euicc.execute(command)

    async def save(self) -> None:
        """Keep what has changed since the last time."""
        if self._usim is not None:
            iccid, usim = self._usim
            profile = self._euicc.state.profile(iccid)
            kept = _sequence_numbers(usim.sqn_array)
            if profile is not None and profile.sqn_array != kept:
                self._euicc.remember_sequence_numbers(iccid, kept)
        while self._euicc.state != self._saved:
            if self._saving is None:
                self._saving = asyncio.get_running_loop().create_task(self._keep(self._euicc.state))
                self._saving.add_done_callback(_looked_at)
            # One at a time, and each to its end: a save that was begun counts, also when nobody waits for it any more.
            await asyncio.shield(self._saving)

    async def _keep(self, state: CardState) -> None:
        try:
            self._version = await self._store.save(self.eid, state.encode(), self._version)
            self._saved = state
        finally:
            self._saving = None

    def give(self, package: bytes) -> None:
        """Put an enabled profile onto the card as its maker would, without a download."""
        contents = parse_profile(package)
        state = self._euicc.state
        metadata = ProfileMetadata.build(contents.iccid, contents.provider, contents.name, contents.home)
        profile = InstalledProfile(state.free_aid, metadata, contents, state.credentials[0].ci_id, enabled=True)
        self._euicc.state = state.with_profile(profile)

    async def enable(self, iccid: Iccid) -> Subscription:
        """Enable a profile (ES10c.EnableProfile) and start its USIM; raises `Refused`."""
        enabled = self._euicc.enabled_profile()
        if enabled is None or enabled.iccid != iccid:
            self._converse(lpa_card.enable(iccid))
        await self.save()
        return self.subscription()

    def _converse(self, dialogue: lpa_card.Steps[None]) -> None:
        try:
            request = next(dialogue)
            while isinstance(request, CardCommand):
                request = dialogue.send(self.execute(request.octets))
        except StopIteration:
            return
        raise Misuse("enabling a profile needs no server")

    def subscription(self) -> Subscription:
        """Who the enabled profile makes of this device; raises `Misuse` where none is enabled."""
        profile = self._enabled()
        key = profile.suci_key
        return Subscription(
            subscriber=profile.imsi,
            home=profile.home,
            routing_indicator=profile.routing_indicator or "0",
            scheme=int(key.scheme) if key is not None else 0,
            key_id=key.key_id if key is not None else 0,
            public_key=key.public_key if key is not None else None,
        )

    @property
    def has_subscription(self) -> bool:
        """Whether a profile is enabled."""
        return self._euicc.enabled_profile() is not None

    @property
    def never_used(self) -> Iccid | None:
        """The latest profile that was installed and then neither enabled nor used: a download broke off at its end."""
        fresh = [
            profile
            for profile in self._euicc.state.profiles
            if not profile.enabled and not any(sqn >> IND_BITS for sqn in profile.sqn_array)
        ]
        return fresh[-1].iccid if fresh else None

    @property
    def names(self) -> tuple[str, str]:
        """IMSI and ICCID of the enabled profile; empty where there is none."""
        profile = self._euicc.enabled_profile()
        return ("", "") if profile is None else (str(profile.imsi), str(profile.iccid))

    def usim(self) -> Usim:
        """The USIM of the enabled profile; the same one as long as the profile stays enabled."""
        profile = self._enabled()
        if self._usim is None or self._usim[0] != profile.iccid:
            self._usim = (
                profile.iccid,
                Usim(
                    profile.k,
                    profile.opc,
                    tuple(sqn >> IND_BITS for sqn in profile.sqn_array),
                    aka_functions(profile.algorithm, profile.k, profile.opc, profile.keccaks),
                    age_limit=self._age_limit,
                ),
            )
        return self._usim[1]

    def _enabled(self) -> InstalledProfile:
        profile = self._euicc.enabled_profile()
        if profile is None:
            raise Misuse("no profile is enabled")
        return profile


def _looked_at(saving: asyncio.Task[None]) -> None:
    """Take note of an error that perhaps nobody waits for: the next save meets it again."""
    if not saving.cancelled():
        saving.exception()


def _sequence_numbers(sequence: tuple[int, ...]) -> tuple[int, ...]:
    """Write SEQ of each index as the SQN that it was accepted with (TS 33.102 C.1.1.1: SQN = SEQ, IND)."""
    return tuple(seq << IND_BITS | index for index, seq in enumerate(sequence))
