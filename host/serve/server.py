"""The page over HTTP: loopback without a token, any other address only with one."""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
import socket
import sys
import threading
import time
import traceback
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from .service import MAX_BYTES, MAX_LABELS, RequestError, Service

_PAGE = Path(__file__).parent / "page"
_STATIC = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_METHODS = {**dict.fromkeys(_STATIC, "GET"), "/api/state": "GET", "/api/classify": "POST"}
# The page may load its own style, script and answers, show the image dropped on it, and nothing else.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_CONNECTIONS = 32
_BODIES = 4  # images in memory at once, 12 MB each at most
_BODY_S = 60.0
_CHUNK = 1 << 16


class ServeError(RuntimeError):
    """An address that cannot be served; one line with the remedy."""


def new_token() -> str:
    """Return a token nobody guesses: 128 random bits as text."""
    return secrets.token_urlsafe(16)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class PageServer(ThreadingHTTPServer):
    """Serve the page of ``service`` at host:port (0: any free one).

    token: what a browser must show (in ``?token=`` once, then as a cookie) and a program as
    ``Authorization: Bearer``. Raises ServeError for an address in use or not this machine's, and for one beyond
    loopback without a token.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, service: Service, host: str, port: int, token: str | None = None) -> None:
        if token is None and not is_loopback(host):
            raise ServeError(f"{host}: reached from other machines, so it needs a token; leave --host out, or give one")
        self.service, self.token, self.host = service, token, host
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._slots = threading.BoundedSemaphore(_CONNECTIONS)
        self.bodies = threading.BoundedSemaphore(_BODIES)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ServeError(f"{host}:{port}: cannot be served ({error}); choose another --port or --host") from error

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Return the address to open, with the token."""
        host = _own_address(self.host) if self.host in ("0.0.0.0", "::") else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or refuse at once when too many are at work."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one request and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Pass over browsers that went away; show anything else, it is a bug."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One request. HTTP/1.0: one connection each, so that idle browsers hold no thread."""

    server: PageServer
    server_version, sys_version = "spikeclip", ""
    timeout = 20

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: requests carry the token."""

    def _answer(self, method: str) -> None:
        try:
            self._route(method)
        except RequestError as error:
            self._send_json(error.status, {"error": str(error)})
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            # The project's own exceptions are written for people; anything else is a bug, shown where it runs.
            if type(error).__module__.startswith("spikeclip_fpga."):
                self._send_json(503, {"error": " ".join(str(error).split())})
                return
            traceback.print_exc()
            self._send_json(500, {"error": "internal error; its traceback is in the terminal of `spikeclip serve`"})

    def _route(self, method: str) -> None:
        length = self._body_length() if method == "POST" else 0
        try:
            url = urlsplit(self.path)
            self._require_known_host()
            query = parse_qs(url.query, keep_blank_values=True, max_num_fields=MAX_LABELS + 2)
            if self._enters(url, query):
                return
            expected = _METHODS.get(url.path)
            if expected is None:
                raise RequestError(404, f"{url.path[:60]}: no such page")
            if method != expected:
                raise RequestError(405, f"{url.path}: expected {expected}, got {method}")
            if length > MAX_BYTES:
                raise RequestError(413, f"the image: {length:,} bytes, expected at most {MAX_BYTES:,}; scale it down")
        except (RequestError, ValueError) as error:
            self._read(min(length, 4 * MAX_BYTES), keep=False)  # else the answer may be lost with the connection
            if isinstance(error, RequestError):
                raise
            raise RequestError(400, f"the request: malformed, or more than {MAX_LABELS} labels") from error
        if url.path in _STATIC:
            name, kind = _STATIC[url.path]
            self._send(200, kind, (_PAGE / name).read_bytes())
        elif url.path == "/api/state":
            self._send_json(200, self.server.service.state())
        else:
            media_type = self.headers.get("Content-Type", "")
            with self.server.bodies:
                answer = self.server.service.classify(self._read(length), media_type, query.get("label", []))
            self._send_json(200, answer)

    def _require_known_host(self) -> None:
        """Refuse a name that someone else's DNS points here, and requests that other sites make."""
        origin, host = self.headers.get("Origin"), self.headers.get("Host", "")
        if origin is not None and origin != f"http://{host}":
            raise RequestError(403, f"origin {origin[:60]}: only this server's own page may ask")
        if self.server.token is None and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            raise RequestError(403, f"host {host[:60]!r}: expected localhost; open the address that was printed")

    def _enters(self, url: SplitResult, query: dict[str, list[str]]) -> bool:
        """Return whether the request was a browser's first with the token, now answered; raise 401 without one."""
        token = self.server.token
        if token is None:
            return False
        cookie_name = f"spikeclip_{self.server.port}"
        if url.path == "/" and _same(query.get("token", [""])[0], token):
            self.send_response(HTTPStatus.SEE_OTHER)
            self.send_header("Location", "/")
            self.send_header("Set-Cookie", f"{cookie_name}={token}; Path=/; HttpOnly; SameSite=Strict")
            self.send_header("Content-Length", "0")
            self._common_headers()
            self.end_headers()
            return True
        shown = [self.headers.get("Authorization", "").removeprefix("Bearer ")]
        try:
            cookies = SimpleCookie(self.headers.get("Cookie", ""))
            shown += [morsel.value for name, morsel in cookies.items() if name == cookie_name]
        except CookieError:
            pass
        if not any(_same(text, token) for text in shown):
            raise RequestError(401, "a token is needed: open the address that `spikeclip serve` printed")
        return False

    def _body_length(self) -> int:
        text = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (text.isascii() and text.isdigit() and len(text) < 16):
            raise RequestError(411, "the request: expected a Content-Length")
        return int(text)

    def _read(self, length: int, keep: bool = True) -> bytes:
        parts, deadline = [], time.monotonic() + _BODY_S
        while length > 0:
            chunk = self.rfile.read1(min(length, _CHUNK))
            if not chunk:
                raise RequestError(400, "the image: the connection ended before all of it came")
            if time.monotonic() > deadline:
                raise RequestError(408, f"the image: not here after {_BODY_S:.0f} s")
            length -= len(chunk)
            if keep:
                parts.append(chunk)
        return b"".join(parts)

    def _send_json(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self._common_headers()
        self.end_headers()
        self.wfile.write(body)

    def _common_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)


def _same(shown: str, token: str) -> bool:
    return hmac.compare_digest(shown.encode(), token.encode())


def _own_address(host: str) -> str:
    """Return an address of this machine that others on its network can open; connecting UDP sends nothing."""
    family, far = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((far, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
