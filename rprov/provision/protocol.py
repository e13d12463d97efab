"""The seam between step 5 and the protocols of remote SIM provisioning: SGP.22 today, SGP.02 and SGP.32 beside it.

    step 5 -- begin(server, card) --> a dialogue
           <- CardCommand(octets) --  the shell gives them to the card and sends back what the card answers
           <- Post(path, body) -----  the shell posts the body to the server and sends back the answer's body
           <- Downloaded ------------ it has ended well; otherwise `Refused(PROVISIONING_FAILED)` is raised

A dialogue is a generator: it owns no socket and no card, so that the same one runs over a PDU session, in memory and
under a fuzzer. What the shell cannot do it throws in as `RprovError`; the dialogue cleans up and ends with it.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Protocol

from rprov.model.identifiers import Eid, Iccid
from rprov.model.session import ProvisioningServer


@dataclass(frozen=True, slots=True)
class CardCommand:
    """Give these octets to the card. Answer: what it says, two status octets last (`bytes`)."""

    octets: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Post:
    """Post this JSON object to the provisioning server over TLS. Answer: the object it sends (`dict`), None for 204.

    The shell verifies the server's TLS certificate (a DPtls one under the CI) before anything is posted.
    """

    path: str
    body: dict[str, Any] = field(repr=False)


Request = CardCommand | Post
Answer = bytes | dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A profile is on the card and enabled if that was asked for.

    `notified`: the server has taken the card's signed result; if not, the card keeps it and tells it later.
    """

    iccid: Iccid
    name: str
    provider: str
    enabled: bool
    notified: bool


Dialogue = Generator[Request, Answer, Downloaded]
Notifying = Generator[Request, Answer, bool]


class Provisioner(Protocol):
    """A protocol of remote provisioning, as step 5 sees it."""

    def begin(self, server: ProvisioningServer, card: Eid) -> Dialogue:
        """Begin to download a profile from `server` into the card with this EID."""

    def notify(self, server: ProvisioningServer) -> Notifying:
        """Bring `server` what the card still has to tell it; says whether all of it was taken."""
