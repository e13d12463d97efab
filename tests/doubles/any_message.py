"""Strategies: any value that the grammars allow, for every message of the three unions."""

from ipaddress import IPv4Address

from hypothesis import strategies as st

from rprov.causes import Cause
from rprov.model.identifiers import Dnn, Eid, EidHint, Guti, Plmn, SNssai, Suci, Teid, UeRadioId
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia, Scope, SecurityCapability
from rprov.model.session import (
    ProvisioningProtocol,
    ProvisioningServer,
    SessionKind,
    TunnelEnd,
    UserPlaneAddress,
)
from rprov.wire import link, messages, radio


def digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most)


def octets(least: int, most: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=least, max_size=most)


seconds = st.integers(0, 0xFFFFFFFF)
causes = st.sampled_from(Cause)
ports = st.integers(1, 65535)
session_ids = st.integers(1, 15)
key_set_ids = st.integers(0, 6)
abbas = octets(2, 2)
transactions = octets(4, 4)
names = st.text("".join(map(chr, range(0x20, 0x7F))), min_size=1, max_size=150)
addresses = st.builds(IPv4Address, st.integers(0, 0xFFFFFFFF))
plmns = st.builds(Plmn, digits(3, 3), digits(2, 3))
eids = digits(30, 30).map(Eid.with_check_digits)
realms = st.text("".join(map(chr, range(0x20, 0x7F))).replace("@", ""), min_size=1, max_size=251)
sucis = st.builds(
    Suci, plmns, digits(1, 4), st.integers(0, 15), st.integers(0, 255), octets(1, 512), st.none() | realms
)
dnns = st.lists(st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20), min_size=1, max_size=4).map(
    lambda parts: Dnn(".".join(parts))
)
slices = st.builds(SNssai, st.integers(0, 255), st.none() | st.integers(0, 0xFFFFFE))
gutis = st.builds(Guti, plmns, st.integers(0, 0xFFFFFF), st.integers(0, 0xFFFFFFFF))
identities = st.one_of(eids, st.builds(EidHint, digits(8, 8)), sucis, gutis)
capabilities = st.builds(SecurityCapability, st.integers(0, 255), st.integers(0, 255))
neas = st.sampled_from(Nea)
nias = st.sampled_from(Nia)
session_kinds = st.sampled_from(SessionKind)
eaps = st.builds(messages.Eap, octets(4, 100) | octets(1490, 1500))
cell_ids = st.integers(0, (1 << 36) - 1)
labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63)
fqdns = st.lists(labels, min_size=1, max_size=3).map(".".join)
servers = st.builds(
    ProvisioningServer,
    st.sampled_from(ProvisioningProtocol),
    fqdns,
    st.lists(addresses, min_size=1, max_size=8).map(tuple),
    ports,
)
tunnel_ends = st.builds(TunnelEnd, addresses, ports, st.builds(Teid, st.integers(1, 0xFFFFFFFF)))
user_plane_addresses = st.builds(UserPlaneAddress, addresses, ports)
bearers = st.integers(1, 29)


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


NAS = {
    messages.AttachRequest: (
        st.sampled_from(messages.AttachType),
        identities,
        st.integers(0, 7),
        capabilities,
        maybe(session_kinds),
    ),
    messages.IdentityRequest: (st.sampled_from(messages.IdentityType),),
    messages.IdentityResponse: (identities,),
    messages.AuthenticationRequest: (
        key_set_ids,
        abbas,
        eaps | st.builds(messages.AkaChallenge, octets(16, 16), octets(16, 16)),
    ),
    messages.AuthenticationResponse: (eaps | st.builds(messages.AkaAnswer, octets(16, 16)),),
    messages.AuthenticationFailure: (causes, maybe(octets(14, 14)), maybe(eaps)),
    messages.AuthenticationResult: (key_set_ids, abbas, eaps),
    messages.AuthenticationReject: (causes, maybe(eaps)),
    messages.SecurityModeCommand: (neas, nias, key_set_ids, capabilities, abbas, maybe(eaps)),
    messages.SecurityModeComplete: (octets(1, 60) | octets(2040, 2048),),
    messages.SecurityModeReject: (causes,),
    messages.AttachAccept: (gutis, st.sampled_from(Scope), seconds, seconds),
    messages.AttachComplete: (),
    messages.AttachReject: (causes, maybe(seconds)),
    messages.PduSessionRequest: (session_ids, session_kinds, maybe(dnns), maybe(slices)),
    messages.PduSessionAccept: (
        session_ids,
        session_kinds,
        addresses,
        addresses,
        st.integers(68, 65535),
        seconds,
        st.integers(0, (1 << 64) - 1),
        st.lists(servers, max_size=8).map(tuple),
        maybe(dnns),
        maybe(slices),
    ),
    messages.PduSessionReject: (session_ids, causes, maybe(seconds)),
    messages.PduSessionReleaseRequest: (session_ids,),
    messages.PduSessionReleaseCommand: (session_ids, causes),
    messages.PduSessionReleaseComplete: (session_ids,),
    messages.DetachRequest: (causes, st.booleans()),
    messages.DetachAccept: (),
    messages.ConfigurationUpdateCommand: (maybe(gutis), maybe(seconds)),
    messages.ConfigurationUpdateComplete: (),
    messages.Status: (causes,),
}

LINK = {
    link.N2SetupRequest: (names, plmns, cell_ids),
    link.N2SetupResponse: (names, plmns, st.booleans()),
    link.N2SetupFailure: (causes,),
    link.InitialContextSetupRequest: (st.builds(Secret, octets(32, 32)), capabilities),
    link.InitialContextSetupResponse: (),
    link.InitialContextSetupFailure: (causes,),
    link.SessionResourceSetupRequest: (session_ids, tunnel_ends, st.booleans(), st.booleans()),
    link.SessionResourceSetupResponse: (session_ids, tunnel_ends),
    link.SessionResourceSetupFailure: (session_ids, causes),
    link.SessionResourceReleaseCommand: (session_ids,),
    link.SessionResourceReleaseResponse: (session_ids,),
    link.UeContextReleaseRequest: (causes,),
    link.UeContextReleaseCommand: (causes,),
    link.UeContextReleaseComplete: (),
    link.ErrorIndication: (causes,),
}

RADIO = {
    radio.CellInfo: (plmns, cell_ids, st.booleans()),
    radio.RrcSetupRequest: (transactions,),
    radio.RrcSetup: (transactions, st.builds(UeRadioId, st.integers(1, 0xFFFFFFFF))),
    radio.RrcReject: (transactions, causes, seconds),
    radio.AsSecurityModeCommand: (neas, nias),
    radio.AsSecurityModeComplete: (),
    radio.AsSecurityModeFailure: (causes,),
    radio.RrcReconfiguration: (
        maybe(
            st.builds(radio.BearerAddition, bearers, session_ids, st.booleans(), st.booleans(), user_plane_addresses)
        ),
        maybe(bearers),
    ),
    radio.RrcReconfigurationComplete: (maybe(user_plane_addresses),),
    radio.RrcRelease: (causes,),
}

INTERFACES = {"nas": NAS, "link": LINK, "radio": RADIO}


def any_of(interface: str) -> st.SearchStrategy[object]:
    """Any message of an interface: `nas`, `link` or `radio`."""
    return st.one_of([st.builds(kind, *parts) for kind, parts in INTERFACES[interface].items()])
