"""The page over HTTP: who may ask, how much, and what is said to those who may not."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from spikeclip_fpga.host.accelerator import AcceleratorError
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.host.kinds import backend_kind
from spikeclip_fpga.host.serve import PageServer, ServeError, Service, new_token
from spikeclip_fpga.host.serve.server import is_loopback
from spikeclip_fpga.host.serve.service import MAX_BYTES

from .conftest import DIM, Start, picture

PNG = {"Content-Type": "image/png"}


def ask(
    server: PageServer, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def error_of(answer: tuple[int, Any, bytes], status: int) -> str:
    assert answer[0] == status, answer
    text: str = json.loads(answer[2])["error"]
    assert text and "\n" not in text
    return text


def raw(server: PageServer, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def test_page_state_and_classification(start: Start, service: Service) -> None:
    with start() as server:
        for path, kind, word in (
            ("/", "text/html", b"<h1>SpikeCLIP</h1>"),
            ("/page.js", "text/javascript", b"/api/classify"),
            ("/page.css", "text/css", b":root"),
        ):
            status, headers, body = ask(server, "GET", path)
            assert status == 200 and headers["Content-Type"].startswith(kind) and word in body
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
        assert json.loads(ask(server, "GET", "/api/state")[2]) == service.state()
        query = urlencode([("label", "ankle boot"), ("label", "bag")])
        status, _, body = ask(server, "POST", f"/api/classify?{query}", picture(5, (64, 48)), PNG)
        found = json.loads(body)
        assert status == 200
        assert found["top"] == service.classify(picture(5, (64, 48)), "image/png", ["ankle boot", "bag"])["top"]


def test_requests_that_are_none(start: Start) -> None:
    with start() as server:
        assert "/etc/passwd" in error_of(ask(server, "GET", "/etc/passwd"), 404)
        error_of(ask(server, "GET", "/../pyproject.toml"), 404)
        error_of(ask(server, "GET", "/page.js/../../server.py"), 404)
        assert "expected POST" in error_of(ask(server, "GET", "/api/classify"), 405)
        assert "expected GET" in error_of(ask(server, "POST", "/api/state", b""), 405)
        assert "content type" in error_of(ask(server, "POST", "/api/classify", picture(1)), 415)
        assert "not a readable image" in error_of(ask(server, "POST", "/api/classify", b"no image", PNG), 422)
        many = urlencode([("label", str(i)) for i in range(150)])
        assert "100" in error_of(ask(server, "POST", f"/api/classify?{many}", picture(1), PNG), 400)
        assert b" 501 " in raw(server, b"PUT / HTTP/1.0\r\n\r\n").splitlines()[0]
        assert b"Error code: 400" in raw(server, b"\x16\x03\x01 is TLS\r\n\r\n")
        assert ask(server, "GET", "/")[0] == 200


def test_sizes_are_checked_before_anything_is_kept(start: Start) -> None:
    with start() as server:
        post = b"POST /api/classify HTTP/1.0\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        assert b" 411 " in raw(server, post + b"\r\n")
        assert b" 411 " in raw(server, post + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        for length in (b"-1", b"abc", b"9" * 40, b"1e3"):
            assert b" 411 " in raw(server, post + b"Content-Length: " + length + b"\r\n\r\n")
        assert b"ended before all of it came" in raw(server, post + b"Content-Length: 500\r\n\r\n12345")
        answer = ask(server, "POST", "/api/classify", bytes(MAX_BYTES + 1), PNG)
        assert f"{MAX_BYTES + 1:,}" in error_of(answer, 413)


def test_only_its_own_page_and_name(start: Start) -> None:
    """Another site's script cannot ask, nor can a foreign name that was pointed at this machine."""
    with start() as server:
        own = f"http://127.0.0.1:{server.port}"
        assert ask(server, "GET", "/api/state", headers={"Origin": own})[0] == 200
        assert "own page" in error_of(ask(server, "GET", "/api/state", headers={"Origin": "http://evil.example"}), 403)
        assert "own page" in error_of(ask(server, "POST", "/api/classify", picture(1), {**PNG, "Origin": "null"}), 403)
        assert "localhost" in error_of(ask(server, "GET", "/", headers={"Host": f"evil.example:{server.port}"}), 403)
        assert ask(server, "GET", "/", headers={"Host": f"localhost:{server.port}"})[0] == 200
        for value in ask(server, "GET", "/api/state")[1]:
            assert not value.lower().startswith("access-control")


def test_a_token_opens_everything_and_nothing_opens_without(start: Start) -> None:
    token = new_token()
    with start(token=token) as server:
        assert server.url.endswith(f"/?token={token}")
        for path in ("/", "/page.js", "/api/state", "/?token=", "/?token=wrong", f"/api/state?token={token}"):
            assert "token" in error_of(ask(server, "GET", path), 401)
        assert "token" in error_of(ask(server, "POST", "/api/classify", picture(1), PNG), 401)
        status, headers, _ = ask(server, "GET", f"/?token={token}")
        assert status == 303 and headers["Location"] == "/"
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        by_cookie = {"Cookie": cookie.split(";")[0]}
        assert ask(server, "GET", "/", headers=by_cookie)[0] == 200
        assert ask(server, "POST", "/api/classify", picture(1), {**PNG, **by_cookie})[0] == 200
        assert ask(server, "GET", "/api/state", headers={"Authorization": f"Bearer {token}"})[0] == 200
        for wrong in ({"Cookie": "spikeclip_1=x"}, {"Cookie": "\x01=;;;"}, {"Authorization": "Bearer ü"}):
            assert ask(server, "GET", "/", headers=wrong)[0] == 401


def test_tokens_are_long_and_new() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and all(len(token) >= 22 for token in tokens)


def test_beyond_loopback_only_with_a_token(service: Service, start: Start) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.7", "board.local"):
        with pytest.raises(ServeError, match="needs a token"):
            PageServer(service, host, 0)
    assert [h for h in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "10.0.0.1", "") if is_loopback(h)] == [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "localhost",
    ]
    with start(host="0.0.0.0", token="secret") as server:
        assert server.url.startswith("http://") and "0.0.0.0" not in server.url
        assert ask(server, "GET", "/api/state", headers={"Authorization": "Bearer secret"})[0] == 200
        named = {"Authorization": "Bearer secret", "Host": f"board.local:{server.port}"}
        assert ask(server, "GET", "/api/state", headers=named)[0] == 200


def test_addresses_that_cannot_be_served(service: Service, start: Start) -> None:
    with start() as server:
        free = PageServer(service, "127.0.0.1", 0)
        free.server_close()
        assert free.port != server.port
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            with pytest.raises(ServeError, match="another --port"):
                PageServer(service, "127.0.0.1", other.getsockname()[1])
    for host, port in (("127.0.0.1", 70_000), ("192.0.2.7", 0)):
        with pytest.raises(ServeError, match="cannot be served"):
            PageServer(service, host, port, "token")


class Failing:
    """An accelerator whose error the test chooses."""

    name, embed_dim = "failing", DIM

    def __init__(self, error: Exception) -> None:
        self.error = error

    def embed(self, images: np.ndarray) -> np.ndarray:
        raise self.error


def test_faults_are_told_and_the_page_goes_on(bundle: Bundle, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[bool] = []
    monkeypatch.setattr(traceback, "print_exc", lambda: shown.append(True))
    for error, status, word in (
        (AcceleratorError("DMA: no answer\nafter 5 s"), 503, "DMA: no answer after 5 s"),
        (ZeroDivisionError("secret"), 500, "internal error"),
    ):
        service = Service(bundle, Failing(error), backend_kind("golden", built=False))
        with start(service) as server:
            text = error_of(ask(server, "POST", "/api/classify", picture(1), PNG), status)
            assert word in text and "secret" not in text
            assert ask(server, "GET", "/api/state")[0] == 200
    assert shown == [True]


def test_many_browsers_at_once(start: Start, service: Service) -> None:
    expected = [service.classify(picture(i), "image/png", [])["top"] for i in range(4)]
    with start() as server, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda i: ask(server, "POST", "/api/classify", picture(i % 4), PNG), range(24)))
    assert [json.loads(body)["top"] for _, _, body in answers] == [expected[i % 4] for i in range(24)]


def test_idle_connections_do_not_pile_up(start: Start) -> None:
    """More of them than slots: the rest is refused, and the page is back as soon as they go."""
    with start() as server:
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
        for connection in idle:
            connection.settimeout(10)
        refused = 0
        for connection in idle[32:]:
            refused += connection.recv(1) == b""
        assert refused == 8
        for connection in idle:
            connection.close()
        for _ in range(100):
            try:
                assert ask(server, "GET", "/")[0] == 200
                break
            except (ConnectionError, http.client.HTTPException):
                threading.Event().wait(0.05)
        else:
            pytest.fail("the page did not come back")
