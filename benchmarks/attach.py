"""What an attach costs each node: the three cores in memory, beside a bare mutual TLS 1.3 handshake in the same run.

    python benchmarks/attach.py [--rounds N]     JSON on stdout: microseconds of CPU, and ratios

Measured is what UE, RAN and CP spend in their endpoints, from octets to octets: codec, security, machine, keys,
certificates, TLS. What a shell would add (sockets, event loop, store) is not in it, and the garbage collector runs
between the measurements only. The bare handshake is pyOpenSSL alone, with the same certificates and key exchange
groups, verified by OpenSSL itself; it ends, as EAP-TLS does, with one octet of data and 128 octets of exported keys.
The kinds of run take turns, so that a busy machine hurts all alike.
"""

import argparse
import gc
import json
import os
import platform
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import thread_time
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from doubles.pki import EID, NOW, PLMN, Held, Pki  # noqa: E402
from doubles.world import UeNode, World, ordinary, provisioning  # noqa: E402
from OpenSSL import SSL, crypto  # noqa: E402

from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines  # noqa: E402
from rprov.auth.scheme import Answer, Authenticated, Challenge, PeerProved  # noqa: E402
from rprov.crypto.tls_context import CIPHER_SUITES, GROUPS, Side, TlsCredentials  # noqa: E402
from rprov.crypto.tls_openssl import set_groups  # noqa: E402
from rprov.model.env import Env  # noqa: E402
from rprov.model.identifiers import Plmn  # noqa: E402
from rprov.procedure.cp_endpoint import CpEndpoint  # noqa: E402
from rprov.procedure.purpose import Intent  # noqa: E402
from rprov.procedure.ran_endpoint import RanEndpoint  # noqa: E402
from rprov.procedure.s2_authenticate import ABBA  # noqa: E402
from rprov.procedure.ue_endpoint import UeEndpoint  # noqa: E402
from rprov.wire.messages import AuthenticationRequest  # noqa: E402

WARM_UP = 5
ENTRANCES = ("begin", "receive", "receive_radio", "receive_n2", "step", "answer")
"""Where a shell calls an endpoint."""

Costs = dict[str, float]
"""Seconds of CPU by node."""


@dataclass
class Meter:
    """Adds up what each node spends. An endpoint that calls its own entrance is counted once."""

    spent: Costs = field(default_factory=lambda: defaultdict(float))
    inside: bool = False

    @contextmanager
    def at(self, node: str) -> Iterator[None]:
        """Count a part for a node."""
        if self.inside:
            yield
            return
        self.inside = True
        began = thread_time()
        try:
            yield
        finally:
            self.spent[node] += thread_time() - began
            self.inside = False

    def watch(self, node: str, endpoint: type) -> None:
        """Count every entrance of an endpoint."""
        for name in ENTRANCES:
            if (entrance := vars(endpoint).get(name)) is not None and callable(entrance):
                setattr(endpoint, name, self._watched(node, entrance))

    def _watched(self, node: str, entrance: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            with self.at(node):
                return entrance(*arguments)

        return watched


# --- the attach ------------------------------------------------------------------------------------------------------


class Attaches:
    """Attaches in memory, a new world for each, with engines that are made once, as a daemon makes them."""

    def __init__(self, pki: Pki, device: Held, meter: Meter) -> None:
        self.meter = meter
        self.server = EapTlsServerEngines(_credentials(pki.network), [pki.ci.certificate])
        self.peer = EapTlsPeerEngines(_credentials(device), [pki.network_ca.certificate])

        def certificate(eid: Any, env: Env[Any, Any]) -> Any:
            return self.server.scheme(eid, env.policy.plmn.serving_network_name, env.wall)

        def ue_certificate(plmn: Plmn, env: Env[Any, Any]) -> Any:
            return self.peer.scheme(plmn, env.wall)

        self.world = partial(World, certificate, ue_certificate)

    def run(self, intent: Intent) -> tuple[Costs, Costs]:
        """Attach once: what steps 1 to 3 have cost, and what they and the session of step 4 have cost."""
        world: World = self.world(seed=os.urandom(8).hex())
        ue = world.add_ue()
        ue.download_answer = None
        self.meter.spent.clear()
        world.want(ue, intent)
        while not self._attached(world, ue):
            world.pump_frames(1)
        attached = dict(self.meter.spent)
        world.pump()
        if ue.network is None:
            raise SystemExit(f"the attach came to {world.state(ue)} only")
        return attached, dict(self.meter.spent)

    def authenticate(self) -> Costs:
        """Only what the scheme of step 2 does: EAP-TLS with both judges and the keys, without messages and machines."""
        meter = Meter()
        with meter.at("cp"):
            network = self.server.scheme(EID, PLMN.serving_network_name, NOW)
            outcome = network.begin()
        with meter.at("ue"):
            peer = self.peer.scheme(PLMN, NOW)
        while isinstance(outcome, Challenge):
            with meter.at("ue"):
                answer = peer.on_request(AuthenticationRequest(0, ABBA, outcome.challenge))
            if not isinstance(answer, Answer):
                break
            with meter.at("cp"):
                outcome = network.on_response(answer.message)
                if isinstance(outcome, PeerProved):
                    outcome = network.authorise()
        if not isinstance(outcome, Authenticated):
            raise SystemExit("the authentication failed")
        with meter.at("ue"):
            peer.accept_success(outcome.eap_success)
        return dict(meter.spent)

    def _attached(self, world: World, ue: UeNode) -> bool:
        if not world.flying:
            raise SystemExit(f"the attach came to {world.state(ue)} only")
        return bool(world.cps) and type(world.cp_ue(ue).nas.machine.state).__name__ == "Attached"


def _credentials(held: Held) -> TlsCredentials:
    return TlsCredentials(held.chain, held.key)


# --- the handshake ---------------------------------------------------------------------------------------------------


class Handshakes:
    """Mutual TLS 1.3 with nothing around it, over memory BIOs."""

    def __init__(self, pki: Pki, device: Held) -> None:
        self.server = _context(Side.SERVER, pki.network, pki.ci)
        self.client = _context(Side.CLIENT, device, pki.network_ca)

    def run(self) -> Costs:
        """Shake hands once, commit, export keys at both ends."""
        meter = Meter()
        with meter.at("client"):
            client = SSL.Connection(self.client, None)
            client.set_connect_state()
            flight = _shake(client)
        with meter.at("server"):
            server = SSL.Connection(self.server, None)
            server.set_accept_state()
            server.bio_write(flight)
            flight = _shake(server)
        with meter.at("client"):
            client.bio_write(flight)
            flight = _shake(client)
        with meter.at("server"):
            server.bio_write(flight)
            flight = _shake(server)
            server.send(b"\0")
            flight += server.bio_read(65536)
            of_server = server.export_keying_material(b"EXPORTER_EAP_TLS_Key_Material", 128, b"\x0d")
            del server
        with meter.at("client"):
            client.bio_write(flight)
            data = client.recv(16)
            of_client = client.export_keying_material(b"EXPORTER_EAP_TLS_Key_Material", 128, b"\x0d")
            del client
        if of_server != of_client or data != b"\0":
            raise SystemExit("the bare handshake failed")
        return dict(meter.spent)


def _shake(connection: SSL.Connection) -> bytes:
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return bytes(connection.bio_read(65536))
    try:
        return bytes(connection.bio_read(65536))
    except SSL.WantReadError:
        return b""


def _context(side: Side, held: Held, anchor: Held) -> SSL.Context:
    context = SSL.Context(side.value)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(CIPHER_SUITES)
    set_groups(context, GROUPS)
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.use_certificate(held.certificate)
    for issuer in held.issuers:
        context.add_extra_chain_cert(issuer)
    context.use_privatekey(held.key)
    store = context.get_cert_store()
    if store is None:
        raise SystemExit("this pyOpenSSL gives no store")
    store.add_cert(crypto.X509.from_cryptography(anchor.certificate))
    store.set_time(NOW)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    return context


# --- the report ------------------------------------------------------------------------------------------------------


def _figures(runs: list[Costs]) -> dict[str, dict[str, float]]:
    """Median and least of each node, microseconds."""
    found = {}
    for node in runs[0]:
        each = [costs[node] * 1e6 for costs in runs]
        found[node] = {"median": round(median(each), 1), "least": round(min(each), 1)}
    return found


def measure(rounds: int) -> dict[str, Any]:
    """Run everything, by turns."""
    meter = Meter()
    for node, endpoint in (("ue", UeEndpoint), ("ran", RanEndpoint), ("cp", CpEndpoint)):
        meter.watch(node, endpoint)
    pki = Pki(seed="benchmark")
    # This form of EUM certificate is one that OpenSSL can judge too: both then work on the very same chain.
    device = pki.make_device(eum=pki.make_eum(form="extension"))
    attaches, handshakes = Attaches(pki, device, meter), Handshakes(pki, device)
    runs: dict[str, list[Costs]] = defaultdict(list)
    gc.disable()
    for number in range(WARM_UP + rounds):
        bare = handshakes.run()
        scheme = attaches.authenticate()
        certificate, certificate_session = attaches.run(provisioning(EID))
        aka, aka_session = attaches.run(ordinary())
        gc.collect()
        if number < WARM_UP:
            continue
        runs["bare TLS 1.3 handshake"].append(bare)
        runs["EAP-TLS of step 2 alone"].append(scheme)
        runs["attach with certificates, steps 1 to 3"].append(certificate)
        runs["attach with certificates, steps 1 to 4"].append(certificate_session)
        runs["attach with AKA"].append(aka)
        runs["attach with AKA, and its session"].append(aka_session)
    gc.enable()
    cpu = {name: _figures(each) for name, each in runs.items()}
    bare_cost = cpu["bare TLS 1.3 handshake"]
    ratios = {}
    for name in ("EAP-TLS of step 2 alone", "attach with certificates, steps 1 to 3", "attach with AKA"):
        each = cpu[name]
        ratios[name] = {
            "cp / bare server": round(each["cp"]["median"] / bare_cost["server"]["median"], 2),
            "ue / bare client": round(each["ue"]["median"] / bare_cost["client"]["median"], 2),
        }
    versions = {name: version(name) for name in ("cryptography", "pyOpenSSL")}
    openssl = SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()
    machine = {"python": platform.python_version(), "machine": platform.machine(), "openssl": openssl} | versions
    return {"machine": machine, "rounds": rounds, "cpu_us": cpu, "ratios": ratios}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=300, help="attaches of each kind (default: %(default)s)")
    json.dump(measure(parser.parse_args().rounds), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
