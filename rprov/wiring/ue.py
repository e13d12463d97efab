"""The wiring of a UE: its card, its credentials, its user plane and its LPA."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from rprov.auth.aka import FiveGAkaPeerScheme
from rprov.auth.aka_peer import AkaPeerScheme
from rprov.auth.eap_aka_prime_peer import EapAkaPrimePeerScheme
from rprov.auth.eap_tls import EapTlsPeerEngines
from rprov.auth.scheme import PeerScheme
from rprov.crypto.tls import TlsCredentials
from rprov.crypto.x509 import eid_of, subject_key_id
from rprov.daemon.card import CardHolder
from rprov.daemon.download import SessionDownload
from rprov.daemon.ue import UeDaemon, UeSetup
from rprov.daemon.userplane import UeUserPlane
from rprov.errors import ConfigError
from rprov.model.identifiers import Eid, Plmn
from rprov.model.policy import UePolicy
from rprov.model.report import Recorder
from rprov.model.security import SecurityCapability
from rprov.model.session import ProvisioningProtocol, UserPlaneAddress
from rprov.model.settings import CredentialKind, Plan, UeSettings
from rprov.model.trust import (
    CredentialFiles,
)
from rprov.procedure.engines import UeEngines, UeEnv
from rprov.procedure.purpose import Intent, Purpose
from rprov.provision.euicc.es10 import Euicc
from rprov.provision.euicc.state import CardCredential, CardState
from rprov.provision.sgp22.lpa import Lpa
from rprov.store.euicc import SavedCard, open_euicc_store
from rprov.store.pki import check_pair, load_anchors, load_chain, load_key
from rprov.trace.tally import PacketTally
from rprov.transport import tcp
from rprov.wire.nas_asn1 import NasAsn1
from rprov.wire.radio_asn1 import RadioAsn1
from rprov.wiring.node import Node, credentials, issuer_of

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
    return CardHolder(euicc, store, version, settings.euicc.sqn_age_limit), store.close


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


def ue_engines(settings: UeSettings, card: CardHolder, codec: NasAsn1) -> UeEngines:
    """What the core of a UE has made for each attach; reads certificates and keys."""
    peers = EapTlsPeerEngines(
        _attach_credentials(settings),
        load_anchors(settings.network.anchors),
        server_name=settings.network.server_name,
        choices=settings.eap_tls,
    )

    def certificate(plmn: Plmn, env: UeEnv) -> PeerScheme:
        return peers.scheme(plmn, env.wall)

    def aka(plmn: Plmn, _env: UeEnv) -> PeerScheme:
        usim, network = card.usim(), plmn.serving_network_name
        eap = EapAkaPrimePeerScheme(usim, card.subscription().supi, network)
        return AkaPeerScheme(FiveGAkaPeerScheme(usim, network), eap)

    return UeEngines(codec, certificate, aka)


async def open_ue(settings: UeSettings, recorder: Recorder, plan: Plan | None = None) -> tuple[Node, Intent]:
    """Build a UE; gives what its plan (or `plan` in its place) has it want, too."""
    card, close_store = await open_card(settings)
    try:
        intent = await intent_of(plan or settings.plan, card)
        return _node(settings, recorder, card, close_store), intent
    except BaseException:
        await close_store()
        raise


def _node(
    settings: UeSettings, recorder: Recorder, card: CardHolder, close_store: Callable[[], Awaitable[None]]
) -> Node:
    codec = NasAsn1()
    engines = ue_engines(settings, card, codec)
    daemon: UeDaemon
    download = SessionDownload(
        {ProvisioningProtocol.SGP22: Lpa(enable=False)},
        card,
        load_anchors(settings.euicc.anchors),
        recorder,
        lambda: daemon.ue_radio_id,
    )
    tally = PacketTally()
    plane = UeUserPlane(
        asyncio.get_running_loop(),
        UserPlaneAddress(settings.user_plane.address, settings.user_plane.port),
        observe=tally.observe,
    )
    daemon = UeDaemon(
        UeSetup(
            name=settings.name,
            policy=_policy(settings, plane.address),
            engines=lambda: engines,
            transport=tcp,
            host=settings.radio.host,
            port=settings.radio.port,
            user_plane=plane,
            card=card,
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
        engines = ue_engines(settings, card, codec)

    return Node(daemon, reload, [close_store], tally)


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
