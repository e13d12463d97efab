"""The wiring of a UE: its card, its credentials, its user plane and its LPA."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from rprov.auth.abba_choice import AbbaChoice
from rprov.auth.aka import FiveGAkaPeerScheme
from rprov.auth.aka_peer import AkaPeerScheme
from rprov.auth.eap_aka_prime_peer import EapAkaPrimePeerScheme
from rprov.auth.eap_tls import Believed, EapTlsPeerEngines
from rprov.auth.scheme import PeerScheme
from rprov.auth.ticket import TicketPocket
from rprov.crypto.tls_context import TlsCredentials
from rprov.crypto.x509 import eid_of, subject_key_id
from rprov.daemon.card import CardHolder
from rprov.daemon.download import SessionDownload
from rprov.daemon.ticket_keeper import TicketKeeper
from rprov.daemon.ue import UeDaemon, UeSetup
from rprov.daemon.userplane import UeUserPlane
from rprov.errors import ConfigError
from rprov.model.identifiers import Eid, Plmn
from rprov.model.policy import UePolicy
from rprov.model.report import Identified, Recorder
from rprov.model.security import SecurityCapability
from rprov.model.session import ProvisioningProtocol, UserPlaneAddress
from rprov.model.settings import CredentialKind, Plan, UeSettings
from rprov.model.tap import LinkName
from rprov.model.trust import (
    CredentialFiles,
)
from rprov.procedure.engines import UeEngines, UeEnv
from rprov.procedure.purpose import Intent, Purpose
from rprov.provision.euicc.es10 import Euicc
from rprov.provision.euicc.state import CardCredential, CardState
from rprov.provision.sgp22.lpa import Lpa
from rprov.store.euicc import EuiccStore, SavedCard, open_euicc_store
from rprov.store.pki import check_pair, load_anchors, load_chain, load_key
from rprov.trace.keylog import KeyLog
from rprov.trace.tally import PacketTally
from rprov.trace.tracing import NO_TRACING, Tracing
from rprov.transport.choice import Ends, choose
from rprov.transport.tapped import tapped
from rprov.wire.messages import ABBA, ABBA_MSK
from rprov.wire.nas_asn1 import NasAsn1
from rprov.wire.radio_asn1 import RadioAsn1
from rprov.wiring.node import Node, credentials, issuer_of
from rprov.wiring.watching import Watch

EUICC_KEY = "SK.EUICC"


async def give_initial_profile(settings: UeSettings, package: bytes) -> None:
    """Put an enabled profile onto the card as its maker would: the variant with an initial subscription."""
    card, close = await open_card(settings)
    try:
        card.give(package)
        await card.save()
    finally:
        await close()


async def open_card(settings: UeSettings) -> tuple[CardHolder, Callable[[], Awaitable[None]]]:
    """Put the eUICC into its device: its state from the store, or a new card; gives what closes the store, too."""
    card, store = await _open_card(settings)
    return card, store.close


async def _open_card(settings: UeSettings) -> tuple[CardHolder, EuiccStore]:
    chain, key = load_chain(settings.euicc.certificate.chain), load_key(settings.euicc.certificate.key)
    check_pair(chain, key, settings.euicc.certificate.key)
    if len(chain) < 2:
        raise ConfigError(f"{settings.euicc.certificate.chain}: the EUM's certificate must follow the eUICC's")
    eid = eid_of(chain[0])
    if settings.eid is not None and settings.eid != eid:
        raise ConfigError(
            f"{settings.euicc.certificate.chain}: the eUICC's certificate is of {eid}, not {settings.eid}"
        )
    anchors = load_anchors(settings.euicc.anchors)
    store = await open_euicc_store(settings.euicc.store)
    try:
        state, version = _state(settings, eid, await store.load(eid), chain, anchors)
        euicc = Euicc(state, {EUICC_KEY: key}, anchors, secrets.token_bytes, datetime.now(UTC))
    except BaseException:
        await store.close()
        raise
    return CardHolder(euicc, store, version, settings.euicc.sqn_age_limit), store


def _state(
    settings: UeSettings,
    eid: Eid,
    saved: SavedCard | None,
    chain: Sequence[Certificate],
    anchors: Sequence[Certificate],
) -> tuple[CardState, int]:
    euicc, eum = (certificate.public_bytes(Encoding.DER) for certificate in chain[:2])
    if saved is None:
        ci = issuer_of(chain[1], anchors) or anchors[0]
        return CardState(eid, (CardCredential(subject_key_id(ci), euicc, eum, EUICC_KEY),)), 0
    state = CardState.decode(saved.state)
    if state.credentials[0].certificate != euicc:
        # Its signatures would be those of a key that its certificate does not name.
        raise ConfigError(
            f"{settings.euicc.store.url}: the card {eid} was made with another certificate than "
            f"{settings.euicc.certificate.chain}"
        )
    return state, saved.version


def _attach_credentials(settings: UeSettings) -> TlsCredentials:
    given = settings.credential
    if given.kind is CredentialKind.EUICC:
        return credentials(settings.euicc.certificate)
    if given.chain is None or given.key is None:
        raise ConfigError("credential: kind device needs chain and key")
    return credentials(CredentialFiles(chain=given.chain, key=given.key))


def ue_engines(
    settings: UeSettings, card: CardHolder, codec: NasAsn1, pocket: TicketPocket, keys: KeyLog | None
) -> UeEngines:
    """What the core of a UE has made for each attach; reads certificates and keys."""
    own = _attach_credentials(settings)
    peers = {
        ABBA: EapTlsPeerEngines(
            own,
            load_anchors(settings.network.anchors),
            server_name=settings.network.server_name,
            choices=settings.eap_tls,
            revocation=settings.network.revocation,
            pocket=pocket,
        )
    }
    if settings.network.msk:
        first, *elsewhere = (Believed(load_anchors(item.anchors), item.server_name) for item in settings.network.msk)
        peers[ABBA_MSK] = EapTlsPeerEngines(
            own,
            first.anchors,
            server_name=first.name,
            choices=settings.eap_tls,
            revocation=settings.network.revocation,
            elsewhere=elsewhere,
            abba=ABBA_MSK,
        )
    for engines in peers.values():
        if keys is not None:
            engines.log_keys(keys.line)

    def certificate(plmn: Plmn, env: UeEnv) -> PeerScheme:
        return AbbaChoice({abba: partial(engines.scheme, plmn, env.wall) for abba, engines in peers.items()})

    def aka(plmn: Plmn, env: UeEnv) -> PeerScheme:
        usim, network = card.usim(), plmn.serving_network_name
        eap = EapAkaPrimePeerScheme(usim, card.subscription().supi, network)
        if keys is not None:
            keys.supi(env.ue, card.subscription().supi)
        disclose = None if keys is None else partial(keys.k_ausf, env.ue)
        return AkaPeerScheme(FiveGAkaPeerScheme(usim, network), eap, disclose)

    return UeEngines(codec, certificate, aka)


async def open_ue(
    settings: UeSettings, recorder: Recorder, plan: Plan | None = None, tracing: Tracing = NO_TRACING
) -> tuple[Node, Intent]:
    """Build a UE; gives what its plan (or `plan` in its place) has it want, too."""
    card, store = await _open_card(settings)
    try:
        intent = await intent_of(plan or settings.plan, card)
        tickets = TicketKeeper(card.eid, store.tickets)
        await tickets.load(settings.eap_tls.resumption.enabled)
        watch = Watch("ue", settings.metrics)
        watched = watch.over(recorder)
        watched.record(Identified(asyncio.get_running_loop().time(), "ue", settings.name, card.eid))
        node = _node(settings, watched, card, tickets, store.close, tracing)
        await watch.start(node)
        return node, intent
    except BaseException:
        await store.close()
        raise


def _node(
    settings: UeSettings,
    recorder: Recorder,
    card: CardHolder,
    tickets: TicketKeeper,
    close_store: Callable[[], Awaitable[None]],
    tracing: Tracing,
) -> Node:
    codec = NasAsn1()
    radio = choose(settings.radio.transport, Ends(connect=settings.radio.sctp), "radio")
    tap = tracing.tap(LinkName.RADIO, LinkName.EAP, LinkName.RADIO_USER)
    keys = tracing.keys
    engines = ue_engines(settings, card, codec, tickets.pocket, keys)
    daemon: UeDaemon
    download = SessionDownload(
        {ProvisioningProtocol.SGP22: Lpa(enable=False)},
        card,
        load_anchors(settings.euicc.anchors),
        recorder,
        lambda: daemon.ue_radio_id,
        keys.path if keys is not None else None,
    )
    tally = PacketTally()
    plane = UeUserPlane(
        asyncio.get_running_loop(),
        UserPlaneAddress(settings.user_plane.address, settings.user_plane.port),
        observe=tally.observe,
        tap=tap,
    )
    daemon = UeDaemon(
        UeSetup(
            name=settings.name,
            policy=_policy(settings, plane.address),
            engines=lambda: engines,
            transport=tapped(radio, tap),
            host=settings.radio.host,
            port=settings.radio.port,
            user_plane=plane,
            card=card,
            tickets=tickets,
            provisioner=download,
            nas_codec=codec,
            radio_codec=RadioAsn1(),
            recorder=recorder,
            tally=tally,
            max_message=65535,
        )
    )

    def reload() -> None:
        nonlocal engines
        engines = ue_engines(settings, card, codec, tickets.pocket, keys)

    return Node(daemon, reload, [close_store], tally, figures=daemon.figures)


def _policy(settings: UeSettings, user_plane: UserPlaneAddress) -> UePolicy:
    return UePolicy(
        capability=SecurityCapability.of(settings.security.ciphering, settings.security.integrity),
        user_plane=user_plane,
        timers=settings.timers.policy,
        max_attempts=settings.max_attempts,
        fall_back_to_provisioning=settings.fall_back_to_provisioning,
        dnn=settings.dnn,
        s_nssai=settings.s_nssai,
        hide_eid=settings.hide_eid,
        msk_allowed=bool(settings.network.msk),
    )


async def intent_of(plan: Plan, card: CardHolder) -> Intent:
    """What a device wants: a first subscription, another one, or just to attach with the one it has."""
    if plan is Plan.PROVISION and not card.has_subscription:
        if card.never_used is None:
            return Intent(Purpose.PROVISIONING, card.eid, card.eid)
        # An earlier run ended between the download and the attach. The order is fulfilled: there is no other profile.
        await card.enable(card.never_used)
    if not card.has_subscription:
        raise ConfigError(f"plan: {plan} needs an enabled profile, and the eUICC has none (plan: provision gets one)")
    purpose = Purpose.ORDINARY_THEN_DOWNLOAD if plan is Plan.DOWNLOAD else Purpose.ORDINARY
    return Intent(purpose, card.subscription(), card.eid)
