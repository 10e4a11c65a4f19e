"""Who may talk to the server: before any page or interface is reached.

At this machine (loopback) no key is needed, but the request must be addressed to it by name, so that a web page
elsewhere cannot reach it through a name of its own. With --host a key is needed: in a header, or in the cookie that
the sign-in page sets. Browsers are told apart by a cookie of their own.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .paths import MOST_BYTES

KEY_COOKIE, BROWSER_COOKIE = "sds3d_key", "sds3d_browser"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_YEAR = 365 * 24 * 3600
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' data: blob:; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}
"""Nothing that the page shows may ask another machine for anything; addresses of runs are told to nobody else."""

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True)
class Door:
    """What is asked of those who come.

    Args:
        key: the key that a request must show, "" for none. names: host names that it may be addressed to; empty: any.
    """

    key: str = ""
    names: tuple[str, ...] = ()

    def pass_of(self, what: str) -> str:
        """What a cookie holds in place of the key, whatever signs that has: 64 hex digits."""
        return hmac.new(self.key.encode(), what.encode(), "sha256").hexdigest()


def browser_id(cookies: Mapping[str, str]) -> str:
    """Who a browser is: 16 hex digits made of its cookie, "" without one (a script at this machine)."""
    value = cookies.get(BROWSER_COOKIE, "")
    return hashlib.sha256(value.encode()).hexdigest()[:16] if value else ""


def cookies_of(scope: Scope) -> dict[str, str]:
    """The cookies of a request; damaged ones count as none."""
    jar: SimpleCookie = SimpleCookie()
    try:
        for name, value in scope["headers"]:
            if name == b"cookie":
                jar.load(value.decode("latin-1"))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in jar.items()}


class Guard:
    """ASGI middleware around the whole server."""

    def __init__(self, app: Any, door: Door):
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        if refusal := self._refusal(scope, headers):
            await (_answer(send, *refusal) if scope["type"] == "http" else _hang_up(send))
            return
        cookies = cookies_of(scope)
        if not self._has_key(headers, cookies):
            await self._sign_in(scope, receive, send)
            return
        fresh = ""
        if BROWSER_COOKIE not in cookies and "text/html" in headers.get("accept", ""):
            fresh = secrets.token_hex(16)
        elif BROWSER_COOKIE not in cookies and self.door.key:
            # scripts that come from elsewhere are one person together, and not the one at this machine
            scope = scope | {"headers": _with_browser(scope["headers"], self.door.pass_of("scripts"))}
        most = _Measured(receive, MOST_BYTES + _AROUND)
        await self.app(scope, most, _with_headers(send, _cookie(BROWSER_COOKIE, fresh) if fresh else ""))

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """(status, why) of a request that is not looked at any further."""
        host, origin = headers.get("host", ""), headers.get("origin", "")
        try:
            name, asked_from = urlsplit(f"//{host}").hostname or "", urlsplit(origin).netloc
        except ValueError:
            return 400, "the address in this request is none"
        if self.door.names and name not in self.door.names:
            return 403, f"this server is reached as {', '.join(self.door.names)} only"
        # "null" is what a page says that hides where it comes from
        if origin and asked_from != host:
            return 403, "asked from another site's page"
        # pictures, frames and scripts of other sites' pages send no origin; a link that is followed may come from there
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not _is_visit(scope, headers):
            return 403, "asked from another site's page"
        length = headers.get("content-length", "0")
        if (
            not (length.isascii() and length.isdigit() and len(length) < 20)
            or int(length) > MOST_BYTES + _AROUND
        ):
            return 413, f"at most {MOST_BYTES // 1_000_000} MB at a time"
        return None

    def _has_key(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        if not self.door.key:
            return True
        shown = headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")
        kept = cookies.get(KEY_COOKIE, "").encode()
        return hmac.compare_digest(shown, self.door.key.encode()) or hmac.compare_digest(
            kept, self.door.pass_of("key").encode()
        )

    async def _sign_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The sign-in page, or what became of its form."""
        if scope["type"] != "http":
            await _hang_up(send)
            return
        if scope["path"] == "/sign-in" and scope["method"] == "POST":
            given = parse_qs((await _body(receive, 4096)).decode("latin-1")).get("key", [""])[0]
            if hmac.compare_digest(given.encode(), self.door.key.encode()):
                await _answer(
                    send,
                    303,
                    "",
                    {"location": "/", "set-cookie": _cookie(KEY_COOKIE, self.door.pass_of("key"))},
                )
                return
            await _answer(send, 401, _page("That is not the key of this server."), {"content-type": _HTML})
            return
        if scope["method"] == "GET" and scope["path"] == "/":
            await _answer(send, 401, _page(""), {"content-type": _HTML})
            return
        await _answer(send, 401, "this server needs its key: Authorization: Bearer KEY")


_HTML = "text/html; charset=utf-8"
_AROUND = 1_000_000
"""Bytes that a form may have around its file."""


class _Measured:
    """`receive` that hangs up on a body that grows too large: a request may come in chunks without saying how many."""

    def __init__(self, receive: Receive, most: int):
        self.receive, self.left = receive, most

    async def __call__(self) -> dict[str, Any]:
        message = await self.receive()
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            return {"type": "http.disconnect"}
        return message


def _is_visit(scope: Scope, headers: Mapping[str, str]) -> bool:
    """Whether somebody follows a link to here."""
    mode, where = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return scope.get("method") == "GET" and mode == "navigate" and where == "document"


def _with_browser(headers: Any, value: str) -> list[tuple[bytes, bytes]]:
    """The headers of a request with a browser's cookie."""
    known = [text for name, text in headers if name == b"cookie"]
    kept = [(name, text) for name, text in headers if name != b"cookie"]
    return [*kept, (b"cookie", b"; ".join([*known, f"{BROWSER_COOKIE}={value}".encode()]))]


async def _hang_up(send: Send) -> None:
    """Refuse a websocket."""
    await send({"type": "websocket.close", "code": 1008})


def _cookie(name: str, value: str) -> str:
    return f"{name}={value}; Path=/; Max-Age={_YEAR}; HttpOnly; SameSite=Strict"


def _with_headers(send: Send, cookie: str) -> Send:
    """`send` that adds the headers of every answer, and a cookie where there is one."""

    async def add(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            known = {name.lower() for name, _ in message.get("headers", [])}
            extra = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in known]
            if cookie:
                extra.append((b"set-cookie", cookie.encode()))
            message = message | {"headers": [*message.get("headers", []), *extra]}
        await send(message)

    return add


async def _body(receive: Receive, most: int) -> bytes:
    body = b""
    while len(body) <= most:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body[:most]


async def _answer(send: Send, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
    sent = {"content-type": "text/plain; charset=utf-8", **_HEADERS, **(headers or {})}
    pairs = [(k.encode(), v.encode()) for k, v in sent.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": text.encode()})


def _page(note: str) -> str:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>sds3d</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:22rem;margin:18vh auto;"
        "padding:0 1rem;color-scheme:light dark}input,button{font:inherit;padding:.5rem;width:100%;margin:.4rem 0;"
        "box-sizing:border-box}</style><h1>sds3d</h1><p>This server needs its key.</p>"
        f'<form method="post" action="/sign-in"><label>Key <input name="key" type="password" autofocus></label>'
        f'<button>Sign in</button></form><p role="alert">{note}</p></html>'
    )
