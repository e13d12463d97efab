"""ES10 functions called straight: for tests that hold a card and need no dialogue.

`execute` is a card: it takes a command's octets and gives the answer's, two status octets last.
"""

from collections.abc import Callable
from typing import TypeVar

from rprov.errors import Misuse
from rprov.model.identifiers import Eid, Iccid
from rprov.provision.protocol import CardCommand
from rprov.provision.sgp22 import lpa_card
from rprov.provision.sgp22.lpa_card import Steps
from rprov.provision.sgp22.tlv import Tlv

T = TypeVar("T")
Execute = Callable[[bytes], bytes]


def call(execute: Execute, steps: Steps[T]) -> T:
    """Run a dialogue that speaks to the card only; raises `Refused` when the card says no."""
    try:
        request = next(steps)
        while True:
            if not isinstance(request, CardCommand):
                raise Misuse("a dialogue that needs a server is not for a card alone")
            request = steps.send(execute(request.octets))
    except StopIteration as end:
        value: T = end.value
        return value


def read_eid(execute: Execute) -> Eid:
    """Ask the card for its EID."""
    return call(execute, lpa_card.eid())


def list_profiles(execute: Execute) -> tuple[Tlv, ...]:
    """Ask the card for its profiles, one E3 each."""
    return call(execute, lpa_card.profiles())


def enable_profile(execute: Execute, iccid: Iccid) -> None:
    """Enable a profile; the one that was enabled is disabled."""
    call(execute, lpa_card.enable(iccid))


def disable_profile(execute: Execute, iccid: Iccid) -> None:
    """Disable a profile."""
    call(execute, lpa_card.disable(iccid))


def delete_profile(execute: Execute, iccid: Iccid) -> None:
    """Delete a profile that is not enabled."""
    call(execute, lpa_card.delete(iccid))
