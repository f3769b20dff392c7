"""Finds the databases and mail servers that an environment points to, and tells which are not on this machine."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

_DATABASES = (
    "postgres|postgresql|postgis|psql|pgsql|cockroachdb|redshift|timescaledb|mysql|mysql2|mariadb|mssql|sqlserver|oracle"
    "|redis|rediss|valkey|mongodb|amqp|amqps|clickhouse|cassandra|memcached|nats|kafka|neo4j|bolt"
)
# jdbc:postgresql://…, postgresql+psycopg://…, mongodb+srv://…, and several in one value
_URL = re.compile(rf"\b((?:{_DATABASES})(?:\+[a-z0-9_]+)*)://([^\s\"'<>]*)", re.IGNORECASE)
_MAIL_URL = re.compile(r"\b(smtps?|smtp\+[a-z]+|submission)://([^\s\"'<>]*)", re.IGNORECASE)
_KEY_VALUE = re.compile(r"\bhost(?:addr)?\s*=\s*('[^']*'|[^\s;]+)", re.IGNORECASE)
_IS_KEY_VALUE = re.compile(r"\b(?:dbname|database|user|user id|password)\s*=", re.IGNORECASE)
_SYSTEMS = (
    "PG|DB|DATABASE|POSTGRES|POSTGRESQL|MYSQL|MARIADB|SQL|MSSQL|REDIS|VALKEY|MONGO|MONGODB|RABBITMQ|AMQP|MEMCACHED"
)
_DATABASE_NAME = re.compile(
    rf"(?:.*_)?(?:{_SYSTEMS})_?(?:\w+_)?(?:HOST|HOSTS|HOSTNAME|HOSTADDR|SERVER|SERVERS)", re.IGNORECASE
)
_MAIL_NAME = re.compile(
    r"(?:.*_)?(?:SMTP|MAIL|MAILER|EMAIL)_?(?:SMTP_)?(?:HOST|HOSTS|HOSTNAME|SERVER|RELAY|RELAYHOST)", re.IGNORECASE
)
_HOST = re.compile(r"\[[0-9a-f:.]+\]|[\w.-]+", re.IGNORECASE)
# With no host in the URL, libpq falls back to this machine's own server by its socket; these clients to loopback.
_LOOPBACK_BY_DEFAULT = frozenset({"redis", "rediss", "valkey", "mongodb", "amqp", "amqps", "memcached"})


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine by definition, without looking anything up (RFC 6761, 5735)."""
    bare = host.strip("[]").rstrip(".").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def remote_database(name: str, value: str) -> str | None:
    """The first host in a variable that a database driver would connect to and that is not loopback."""
    hosts = list(_hosts_of_urls(_URL, value))
    if not hosts and _IS_KEY_VALUE.search(value):
        hosts = [host for match in _KEY_VALUE.finditer(value) for host in match[1].strip("'").split(",")]
    if not hosts and _DATABASE_NAME.fullmatch(name):
        hosts = _bare_hosts(value)
    return _first_remote(hosts)


def remote_mail_server(name: str, value: str) -> str | None:
    """The first host in a variable that mail would be sent through and that is not loopback."""
    hosts = list(_hosts_of_urls(_MAIL_URL, value))
    if not hosts and _MAIL_NAME.fullmatch(name):
        hosts = _bare_hosts(value)
    return _first_remote(hosts)


def _first_remote(hosts: list[str]) -> str | None:
    return next((host for host in hosts if not is_loopback(host)), None)


def _hosts_of_urls(pattern: re.Pattern[str], value: str) -> Iterator[str]:
    for match in pattern.finditer(value):
        scheme, rest = match[1].lower().partition("+")[0], match[2]
        parts = urlsplit("//" + rest)
        authority = parts.netloc.rpartition("@")[2]
        listed = [unquote(host) for host in authority.split(",") if host]
        query = parse_qs(parts.query)
        # A host in the query wins over the authority in libpq; a socket directory leads past the wire.
        listed += [host for key in ("host", "hostaddr") for given in query.get(key, []) for host in given.split(",")]
        if not listed and scheme not in _LOOPBACK_BY_DEFAULT:
            yield "this machine's own server (the URL names no host)"
        for entry in listed:
            yield _without_port(entry)


def _bare_hosts(value: str) -> list[str]:
    return [_without_port(part) for part in re.split(r"[,\s;]+", value.strip()) if part and "://" not in part]


def _without_port(entry: str) -> str:
    if entry.startswith("/"):
        return entry
    match = _HOST.match(entry)
    return match[0] if (match and entry.count(":") < 2) or (entry.startswith("[") and match) else entry
