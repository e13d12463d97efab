"""Numbers and names that several rooms share, also those of rooms not built yet. `docs/registry.md` is drawn from here.

Refuses to know what anybody does with them. A number that only one room needs lives in that room, beside its codec.
"""

from enum import IntEnum, StrEnum


class Ppid(IntEnum):
    """Payload protocol identifiers of our own, which no dissector claims: "rp" in ASCII, then a number."""

    RADIO = 0x72700001
    """Radio control, between UE and RAN."""
    N2 = 0x72700002
    """N2, between RAN and CP."""
    XN = 0x72700003
    """Reserved: between two RANs, for handover."""
    CONTROL = 0x72700004
    """The local control socket of a daemon."""
    TLS = 0x72700005
    """TLS records, inside an SCTP association; what they protect has one of the others, inside."""
    HEARTBEAT = 0x72700006
    """Whether the process at the other end of N2 lives: one octet, "?" or "!"."""


class Port(IntEnum):
    """Default ports. Those of rprov's own protocols are unassigned at IANA and below the ephemeral range of Linux."""

    RADIO = 29710
    """Radio control of a RAN (TCP or SCTP)."""
    RADIO_USER = 29711
    """User packets on the radio, at the RAN (UDP)."""
    N2 = 29712
    """N2 of a CP (TCP or SCTP); not 38412, which dissectors take for NGAP."""
    GTPU = 2152
    """N3, at the RAN and at the UP (UDP, TS 29.281 4.4.2)."""
    SMDP = 8443
    """ES9+ of an SM-DP+ on its host (HTTPS)."""
    HTTPS = 443
    """ES9+ of an SM-DP+ as a UE sees it inside its session."""
    SMDP_OPERATOR = 8444
    """Reserved: ES2+ of an SM-DP+ (HTTPS with client certificates)."""
    EIM = 8445
    """Reserved: ESipa of an eIM, SGP.32 (HTTPS)."""
    SMSR = 8446
    """Reserved: ES5 of an SM-SR, SGP.02 (HTTPS)."""
    RADIUS = 1812
    """RADIUS of an AAA server (UDP, RFC 2865 3)."""
    RADSEC = 2083
    """RADIUS over TLS of an AAA server (TCP, RFC 6614 2.1)."""
    PFCP = 8805
    """Reserved: N4, between a CP and a UP of its own (TS 29.244 4.2.2)."""
    METRICS = 29713
    """What Prometheus scrapes (HTTP)."""
    SCTP_ENCAPSULATION = 9899
    """SCTP in UDP, where the kernel has no SCTP (RFC 6951 4.1)."""


class ExitCode(IntEnum):
    """What every verb ends with."""

    DONE = 0
    """Done as asked."""
    FAILED = 1
    """The procedure ran and failed: a refusal, a timeout, a profile that could not be installed."""
    WRONG_USE = 2
    """Wrong use, or a configuration that cannot be used."""
    ENVIRONMENT_LACKS = 3
    """The machine lacks something that was asked for; the last line names it."""
    INTERRUPTED = 130
    """Interrupted from the keyboard."""


class LogField(StrEnum):
    """Fields of a log line in JSON, in this order."""

    T = "t"
    """Seconds since the process began."""
    LEVEL = "level"
    """debug, info, warning or error."""
    ROLE = "role"
    """ue, ran, cp, smdp or aaa."""
    EID = "eid"
    """The device's EID, at the device itself and where it has been proved."""
    UE = "ue"
    """Whose line it is: the UE as this node names it."""
    STEP = "step"
    """The step of the overall procedure, 1 to 7, and its module."""
    STATE = "state"
    """The state of the machine."""
    EVENT = "event"
    """What happened."""
    TEXT = "text"
    """The sentence for a person."""


class Metric(StrEnum):
    """Names of metrics; a counter ends in `_total`, a time in `_seconds`. `trace/metrics.py` knows who has which."""

    meaning: str

    def __new__(cls, name: str, meaning: str) -> "Metric":
        """A name with the sentence that Prometheus and the registry show."""
        member = str.__new__(cls, name)
        member._value_, member.meaning = name, meaning
        return member

    ATTACHES = (
        "rprov_attaches_total",
        "Attaches that were decided, by purpose and cause; NORMAL is an attach that was let in.",
    )
    DETACHES = ("rprov_detaches_total", "Registrations that ended, by purpose and cause.")
    AUTHENTICATIONS = (
        "rprov_authentications_total",
        "Authentications of an AAA server that ended, by cause; NORMAL is an Access-Accept.",
    )
    AUTHENTICATION_SECONDS = (
        "rprov_authentication_seconds",
        "From the first AuthenticationRequest to the SecurityModeCommand, by purpose.",
    )
    AUTHENTICATION_ROUNDS = (
        "rprov_authentication_rounds",
        "Rounds that such an authentication took, by purpose; with EAP-TLS these are EAP rounds.",
    )
    STEPS = ("rprov_steps_total", "Steps of the procedure that ended, by step and result.")
    STEP_SECONDS = ("rprov_step_seconds", "How long a step took that ended well, by step.")
    DOWNLOADS = ("rprov_downloads_total", "Profile downloads, by outcome.")
    DISCARDED = ("rprov_messages_discarded_total", "Messages dropped without an answer, by link and reason.")
    LINKS = ("rprov_links", "Control links that are up, by link.")
    UES = ("rprov_ues", "UEs that the node knows, attached or on their way.")
    HALF_OPEN = ("rprov_half_open", "Attaches, or authentications, under way that have proved nothing yet.")
    CONTEXTS = ("rprov_contexts", "Registered devices with their security contexts, by scope.")
    SESSIONS = ("rprov_sessions", "PDU sessions.")
    OCTETS = ("rprov_user_octets_total", "Octets of user packets, by link and direction.")
    PACKETS = ("rprov_user_packets_total", "User packets, by link and direction.")
    PACKETS_DROPPED = ("rprov_packets_dropped_total", "User packets that a filter or a plane dropped, by reason.")
    RATE_LIMITED = ("rprov_rate_limited_total", "Attempts that a rate refused or a bound drove out, by which.")
    STORE_SECONDS = ("rprov_store_seconds", "How long a store job took from question to answer, by kind.")
