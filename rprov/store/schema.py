"""The tables as the code uses them now. How a database gets there is told in `migrations.py`; a test holds them equal.

Only types that SQLite and PostgreSQL have alike. Times are microseconds since 1970 UTC. `sealed_` columns hold what
only the key file opens (`seal.py`).
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text

METADATA = MetaData()

SCHEMA_VERSION = Table(
    "schema_version",
    METADATA,
    Column("room", Text, primary_key=True),
    Column("version", Integer, nullable=False),
)

SEAL_CHECK = Table(
    "seal_check",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sealed_check", LargeBinary, nullable=False),
)

CP_SUBSCRIBERS = Table(
    "cp_subscribers",
    METADATA,
    Column("supi", Text, primary_key=True),
    Column("sealed_keys", LargeBinary, nullable=False),
    Column("amf", LargeBinary, nullable=False),
    Column("sqn", BigInteger, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("algorithm", Text, nullable=False, server_default="milenage"),
    Column("method", Text, nullable=False, server_default="5g-aka"),
)

CP_ORDERS = Table(
    "cp_orders",
    METADATA,
    Column("matching_id", Text, primary_key=True),
    Column("eid", Text, nullable=False),
    Column("iccid", Text, nullable=False),
    Column("imsi", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Index("cp_orders_eid", "eid"),
)

CP_CONTEXTS = Table(
    "cp_contexts",
    METADATA,
    Column("guti", Text, primary_key=True),
    Column("identity", Text, nullable=False),
    Column("scope", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("ksi", Integer, nullable=False),
    Column("sealed_k_amf", LargeBinary, nullable=False),
    Column("nea", Integer, nullable=False),
    Column("nia", Integer, nullable=False),
    Column("capability_nea", Integer, nullable=False),
    Column("capability_nia", Integer, nullable=False),
    Column("uplink_count", Integer, nullable=False),
    Column("downlink_count", Integer, nullable=False),
    Column("expires_at", BigInteger),
    Index("cp_contexts_identity", "identity"),
)

_OPEN = text("state IN ('released', 'downloaded')")
_STANDS = text("state <> 'cancelled'")

SMDP_ORDERS = Table(
    "smdp_orders",
    METADATA,
    Column("matching_id", Text, primary_key=True),
    Column("eid", Text, nullable=False),
    Column("iccid", Text, nullable=False),
    Column("imsi", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("added_at", BigInteger, nullable=False),
    Column("sealed_package", LargeBinary, nullable=False),
    Column("sealed_confirmation", LargeBinary),
    Column("downloads", Integer, nullable=False),
    Column("wrong_codes", Integer, nullable=False),
    Column("last_word", Text, nullable=False),
    Index("smdp_orders_eid", "eid"),
    Index("smdp_orders_open_eid", "eid", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("smdp_orders_open_imsi", "imsi", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index("smdp_orders_iccid", "iccid", unique=True, sqlite_where=_STANDS, postgresql_where=_STANDS),
)

SMDP_DOWNLOADS = Table(
    "smdp_downloads",
    METADATA,
    Column("transaction_id", Text, primary_key=True),
    Column("eid", Text, nullable=False),
    Column("iccid", Text, nullable=False),
    Column("euicc_certificate", LargeBinary, nullable=False),
)

SMDP_OUTBOX = Table(
    "smdp_outbox",
    METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("sealed_news", LargeBinary, nullable=False),
)

EUICC_CARDS = Table(
    "euicc_cards",
    METADATA,
    Column("eid", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("sealed_state", LargeBinary, nullable=False),
)

EUICC_TICKETS = Table(
    "euicc_tickets",
    METADATA,
    Column("eid", Text, primary_key=True),
    Column("sealed_ticket", LargeBinary, nullable=False),
)
