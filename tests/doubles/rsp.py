"""A card, an SM-DP+ with its orders in memory, and the wire between them: remote provisioning without a network."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from cryptography import x509
from doubles.pki import EID, NOW, SMDP_FQDN, Held, Pki, seeded

from rprov.crypto.x509 import subject_key_id
from rprov.errors import RprovError
from rprov.model.identifiers import Eid, Iccid, Imsi, Plmn
from rprov.model.secret import Secret
from rprov.provision.euicc.es10 import Euicc
from rprov.provision.euicc.state import CardCredential, CardState
from rprov.provision.profile import ProfileContents, SuciKey, build_profile
from rprov.provision.protocol import Answer, CardCommand, Downloaded, Post, Request
from rprov.provision.sgp22 import es9
from rprov.provision.sgp22.es9 import Body, Function
from rprov.provision.sgp22.keys import certificate_octets
from rprov.provision.sgp22.lpa import Lpa
from rprov.provision.sgp22.orders import (
    DownloadOrder,
    LookUpDownload,
    LookUpOrder,
    OrderState,
    Query,
    QueryAnswer,
    RecordCancelled,
    RecordEvent,
    RecordFailed,
    RecordInstalled,
    RecordWrongCode,
    Reservation,
    ReserveDownload,
)
from rprov.provision.sgp22.smdp import Smdp
from rprov.provision.sgp22.smdp_checks import SmdpSettings
from rprov.provision.sgp22.smdp_sessions import SmdpCredential

CONTENTS = ProfileContents(
    iccid=Iccid("8949440000001155314"),
    imsi=Imsi("001010123456063"),
    home=Plmn("001", "01"),
    k=Secret(bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc")),
    opc=Secret(bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf")),
    name="IoT one",
    provider="rprov test",
    suci_key=SuciKey(1, 27, bytes(range(32))),
    routing_indicator="17",
)
OTHER_CONTENTS = replace(CONTENTS, iccid=Iccid("8988211000000467343"), imsi=Imsi("001010123456064"), name="IoT two")


def make_order(contents: ProfileContents = CONTENTS, eid: Eid = EID, **over: Any) -> DownloadOrder:
    return replace(DownloadOrder("MATCH-1", eid, contents.iccid, build_profile(contents)), **over)


@dataclass
class MemoryOrders:
    """The store of an SM-DP+, in memory: what `orders` asks of any."""

    orders: list[DownloadOrder] = field(default_factory=list)
    downloads: dict[bytes, Reservation] = field(default_factory=dict)
    seen: list[Query] = field(default_factory=list)

    def order(self, iccid: Iccid = CONTENTS.iccid) -> DownloadOrder:
        return next(order for order in self.orders if order.iccid == iccid)

    def change(self, iccid: Iccid, **fields: Any) -> None:
        self.orders = [replace(order, **fields) if order.iccid == iccid else order for order in self.orders]

    def ask(self, query: Query) -> QueryAnswer:
        self.seen.append(query)
        match query:
            case LookUpOrder(matching_id, eid):
                over = (OrderState.INSTALLED, OrderState.CANCELLED)
                if matching_id:
                    fits = [item for item in self.orders if item.matching_id == matching_id]
                else:
                    fits = [item for item in self.orders if item.eid == eid]
                return min(fits, key=lambda item: item.state in over, default=None)
            case ReserveDownload(transaction_id, reservation):
                order = self.order(reservation.iccid)
                if order.state not in (OrderState.RELEASED, OrderState.DOWNLOADED):
                    return False
                self.change(order.iccid, state=OrderState.DOWNLOADED, downloads=order.downloads + 1)
                self.downloads[transaction_id] = reservation
                return True
            case LookUpDownload(transaction_id):
                return self.downloads.get(transaction_id)
            case RecordInstalled(_, iccid):
                self.change(iccid, state=OrderState.INSTALLED)
            case RecordFailed(_, iccid, _) | RecordCancelled(_, iccid, _):
                if self.order(iccid).state is not OrderState.INSTALLED:
                    self.change(iccid, state=OrderState.RELEASED)
            case RecordWrongCode(_, iccid):
                self.change(iccid, wrong_codes=self.order(iccid).wrong_codes + 1)
            case RecordEvent():
                pass
        return None


def make_card(
    pki: Pki, euicc: Held | None = None, eid: Eid = EID, anchors: tuple[x509.Certificate, ...] | None = None
) -> Euicc:
    """A fresh card of this PKI."""
    euicc = euicc or pki.euicc
    credential = CardCredential(
        subject_key_id(pki.ci.certificate),
        certificate_octets(euicc.certificate),
        certificate_octets(euicc.issuers[0]),
        "sk-euicc",
    )
    state = CardState(eid, (credential,))
    return Euicc(state, {"sk-euicc": euicc.key}, anchors or (pki.ci.certificate,), seeded("card"), NOW)


def make_settings(pki: Pki, auth: Held | None = None, binding: Held | None = None, **over: Any) -> SmdpSettings:
    auth, binding = auth or pki.dp_auth, binding or pki.dp_pb
    credential = SmdpCredential(pki.ci.certificate, auth.certificate, auth.key, binding.certificate, binding.key)
    return replace(SmdpSettings(SMDP_FQDN, (credential,), (pki.ci.certificate,)), **over)


@dataclass
class Server:
    """An SM-DP+ with its store, and a clock that stands still unless it is moved."""

    smdp: Smdp
    store: MemoryOrders
    now: float = 0.0
    wall: datetime = NOW

    def ask(self, function: Function, body: Body) -> Body | None:
        steps = self.smdp.answer(function, body, self.now, self.wall)
        try:
            query = next(steps)
            while True:
                query = steps.send(self.store.ask(query))
        except StopIteration as end:
            answer: Body | None = end.value
            # what a server says must survive the wire
            return None if answer is None else es9.decode_body(es9.encode_body(answer))


def make_server(pki: Pki, *orders: DownloadOrder, settings: SmdpSettings | None = None) -> Server:
    return Server(Smdp(settings or make_settings(pki), seeded("smdp")), MemoryOrders(list(orders) or [make_order()]))


Tamper = Callable[[Request, Answer], Answer]
"""Changes an answer on its way to the LPA, or raises what a shell would."""


@dataclass
class Wire:
    """Carries requests of an LPA to card and server, and writes down what went by."""

    card: Euicc
    server: Server
    tamper: Tamper = lambda request, answer: answer
    seen: list[Request] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        self.seen.append(request)
        match request:
            case CardCommand(octets):
                return self.tamper(request, self.card.execute(octets))
            case Post(path, body):
                function = Function(path.removeprefix(es9.PATH))
                return self.tamper(request, self.server.ask(function, es9.decode_body(es9.encode_body(body))))

    def run(self, dialogue: Generator[Request, Answer, Any]) -> Any:
        try:
            request = next(dialogue)
            while True:
                try:
                    answer = self.answer(request)
                except RprovError as error:
                    request = dialogue.throw(error)
                else:
                    request = dialogue.send(answer)
        except StopIteration as end:
            return end.value

    def download(self, lpa: Lpa | None = None, address: str = SMDP_FQDN, eid: Eid = EID) -> Downloaded:
        outcome: Downloaded = self.run((lpa or Lpa("MATCH-1")).download(address, eid))
        return outcome

    @property
    def functions(self) -> list[str]:
        """The names of what was posted, in order."""
        return [item.path.removeprefix(es9.PATH) for item in self.seen if isinstance(item, Post)]
