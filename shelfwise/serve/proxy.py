"""What stands between the server and who asks: proxies, a path prefix, other origins.

A proxy that the setting `trusted_proxies` names is believed about who asks and by which address (X-Forwarded-For,
-Proto, -Host, -Prefix); anybody else's word is not. Inside, paths have no prefix: it is taken off what comes in and
put on what goes out (redirects, cookies; pages by `prefixed`).
"""

from __future__ import annotations

import ipaddress
import os
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from starlette.types import Message
from starlette.types import Scope as Connection

_FORWARDED = frozenset(
    {b"forwarded", b"via", b"x-real-ip", b"cf-connecting-ip", b"true-client-ip", b"x-client-ip", b"x-cluster-client-ip"}
)
_LINKS = re.compile(r'((?:href|action|src|hx-get|hx-post|data-endpoint|data-source)=")/(?!/)')
_COOKIE_PATH = re.compile(rb"(;\s*path=)(/[^;]*)", re.IGNORECASE)
_PREFIX = re.compile(r"(/[\w.~-]+)+")
#: Questions that change nothing, which pages of the origins in `cors_origins` may ask.
READS = frozenset({"/v1/recommend", "/v1/similar", "/v1/search", "/v1/search/image", "/v1/suggest"})
_OWNER_SECONDS = 5.0  # how long the owner of a connection is remembered

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Front:
    """How requests come to this server. trusted: addresses and networks of proxies. prefix: "" or "/path"."""

    def __init__(self, *, trusted: Iterable[str] = (), prefix: str = "", origins: Sequence[str] = ()) -> None:
        self._trusted: tuple[Network, ...] = tuple(ipaddress.ip_network(one, strict=False) for one in trusted)
        self._prefix = prefix
        self._origins = frozenset(origins)

    def enter(self, connection: Connection) -> None:
        """Set who asks, the scheme, the host and the path as the proxy in front says, where it is trusted."""
        headers = dict(connection["headers"])
        state = connection["state"]
        state["forwarded"] = forwarded(headers) or str(connection.get("http_version", "1.1")) in ("1", "1.0", "0.9")
        prefix = self._prefix
        client = connection.get("client")
        if client is not None and self._trusts(client[0]):
            asker = self._asker(headers.get(b"x-forwarded-for", b"").decode("latin-1"))
            if asker:
                connection["client"] = (asker, 0)
            if (scheme := _first(headers, b"x-forwarded-proto").lower()) in ("http", "https"):
                connection["scheme"] = scheme
            if host := _first(headers, b"x-forwarded-host"):
                kept = [pair for pair in connection["headers"] if pair[0] != b"host"]
                connection["headers"] = [*kept, (b"host", host.encode("latin-1"))]
            said = _first(headers, b"x-forwarded-prefix").rstrip("/")
            if _PREFIX.fullmatch(said):
                prefix = said
        state["prefix"] = prefix
        path = connection["path"]
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            connection["path"] = path[len(prefix) :] or "/"
            raw = connection.get("raw_path")
            if raw:
                connection["raw_path"] = raw[len(prefix) :] or b"/"

    def leave(self, connection: Connection, message: Message) -> None:
        """Put the prefix on where the answer leads, and say which origins may read it."""
        prefix = connection["state"]["prefix"]
        headers = list(message["headers"])
        if prefix:
            headers = [(name, _outside(name, value, prefix.encode())) for name, value in headers]
        if connection["scheme"] == "https":
            headers = [(name, _secure(value) if name == b"set-cookie" else value) for name, value in headers]
        if self.allows(connection):
            origin = _origin(connection)
            headers += [
                (b"access-control-allow-origin", b"*" if "*" in self._origins else origin),
                (b"access-control-expose-headers", b"x-request-id, retry-after"),
                (b"vary", b"Origin"),
            ]
        message["headers"] = headers

    def allows(self, connection: Connection) -> bool:
        """Whether a page of another origin asks what it may read."""
        origin = _origin(connection).decode("latin-1")
        return bool(origin) and connection["path"] in READS and ("*" in self._origins or origin in self._origins)

    def names(self, connection: Connection) -> bool:
        """Whether that origin is named, not only any."""
        return self.allows(connection) and _origin(connection).decode("latin-1") in self._origins

    def preflight(self, connection: Connection) -> list[tuple[bytes, bytes]] | None:
        """The headers that answer a browser which asks before it sends; None where it may not."""
        if connection["method"] != "OPTIONS" or not self.allows(connection):
            return None
        if not any(name == b"access-control-request-method" for name, _ in connection["headers"]):
            return None
        return [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", b"authorization, content-type, x-api-key"),
            (b"access-control-max-age", b"3600"),
        ]

    def _trusts(self, address: str) -> bool:
        try:
            one = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(one in network for network in self._trusted)

    def _asker(self, chain: str) -> str:
        """Of the addresses that proxies added one after the other, the last that is no trusted proxy's."""
        asker = ""
        for part in reversed(chain.split(",")):
            address = _address(part.strip())
            if not address:
                break
            asker = address
            if not self._trusts(address):
                break
        return asker


def forwarded(headers: dict[bytes, bytes]) -> bool:
    """Whether a proxy says that it has passed this request on."""
    return any(name in _FORWARDED or name.startswith(b"x-forwarded-") for name in headers)


def prefixed(page: str, prefix: str) -> str:
    """A page's HTML with the prefix before the addresses of this server. (What shoppers or merchants wrote stands in
    it escaped, so that nothing of theirs looks like an attribute.)"""
    return _LINKS.sub(rf"\g<1>{prefix}/", page) if prefix else page


class Owners:
    """Whose programs connect from this machine: Linux names the user of each TCP connection (proc(5), /proc/net/tcp).

    A proxy on this machine commonly runs as a user of its own.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[float, bool]] = {}

    def stranger(self, client: Any) -> bool:
        """Whether another user's program is at the other end; False where nothing tells."""
        if not client or not hasattr(os, "getuid"):
            return False
        key, moment = (str(client[0]), int(client[1])), time.monotonic()
        known = self._known.get(key)
        if known is None or moment - known[0] > _OWNER_SECONDS:
            owner = owner_of(*key)
            known = moment, owner is not None and owner != os.getuid()
            if len(self._known) > 4_096:
                self._known.clear()
            self._known[key] = known
        return known[1]


def owner_of(host: str, port: int, table: Path = Path("/proc/net")) -> int | None:
    """The user id behind a TCP socket of this machine by its own address; None when it is not known."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    forms = {f"{_hexed(address)}:{port:04X}"}
    if address.version == 4:
        forms.add(f"{_hexed(ipaddress.ip_address(f'::ffff:{host}'))}:{port:04X}")
    for name in ("tcp", "tcp6"):
        try:
            lines = (table / name).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            parts = line.split()
            if len(parts) > 7 and parts[1] in forms:
                return int(parts[7])
    return None


def _hexed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """As the kernel prints it: words of four bytes in the machine's order."""
    packed = address.packed
    words = (packed[start : start + 4] for start in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, 'little'):08X}" for word in words)


def _address(text: str) -> str:
    """An address without its port; "" for what is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _first(headers: dict[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1").partition(",")[0].strip()


def _origin(connection: Connection) -> bytes:
    return next((bytes(value) for name, value in connection["headers"] if name == b"origin"), b"")


def _secure(cookie: bytes) -> bytes:
    return cookie if b"; secure" in cookie.lower() else cookie + b"; Secure"


def _outside(name: bytes, value: bytes, prefix: bytes) -> bytes:
    if name in (b"location", b"hx-redirect") and value.startswith(b"/") and not value.startswith(b"//"):
        return prefix + value
    if name == b"set-cookie":
        return _COOKIE_PATH.sub(lambda match: match[1] + prefix + (b"" if match[2] == b"/" else match[2]), value)
    return value
