"""A headless Chromium, driven by its own protocol over a pipe: no WebSocket, no driver, no download."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
_ANSWER_S = 60.0


def find_browser() -> str | None:
    """Return the browser's path: $CHROMIUM, or the first of BROWSERS that is installed."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Chromium:
    """One page of a browser of its own profile; ``events`` are all it told, ``requests`` all addresses it asked for."""

    def __init__(self, program: str, profile: Path) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()

        def connect() -> None:  # the protocol's pipes are file descriptors 3 and 4
            os.dup2(to_browser, 100)
            os.dup2(from_browser, 101)
            os.dup2(100, 3)
            os.dup2(101, 4)

        self._process = subprocess.Popen(
            [
                program,
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",  # of no use to root in a container; the pages are ours
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            preexec_fn=connect,  # noqa: PLW1509  (no lock is held when it forks: two system calls follow)
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.events: list[dict[str, Any]] = []
        self._answers: dict[int, dict[str, Any]] = {}
        self._news = threading.Condition()
        self._next, self._session, self._ended = 0, None, False
        threading.Thread(target=self._listen, daemon=True).start()
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM", "Accessibility"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._out)

    @property
    def requests(self) -> list[str]:
        """Return the addresses of all requests over a network."""
        urls = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("data:", "blob:"))]

    @property
    def complaints(self) -> list[str]:
        """Return what the browser's console complained of, exceptions and violated policies included."""
        found = [e["params"]["entry"] for e in self.events if e["method"] == "Log.entryAdded"]
        texts = [f"{e['text']} {e.get('url', '')}" for e in found if e["level"] in ("error", "warning")]
        return texts + [str(e["params"]) for e in self.events if e["method"] == "Runtime.exceptionThrown"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the browser's answer to a command."""
        with self._news:
            self._next += 1
            mine = self._next
        message = {"id": mine, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        with self._news:
            if not self._news.wait_for(lambda: mine in self._answers or self._ended, _ANSWER_S):
                raise TimeoutError(f"{method}: no answer from the browser in {_ANSWER_S} s")
            answer = self._answers.pop(mine, {"error": "the browser ended"})
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)

    def run(self, code: str) -> Any:
        """Return the value of a JavaScript expression, awaited."""
        result = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{code}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def until(self, code: str) -> Any:
        """Return the value of a JavaScript expression as soon as it is true; raise TimeoutError otherwise."""
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline:
            if value := self.run(code):
                return value
            time.sleep(0.02)
        raise TimeoutError(f"never true: {code}; page: {self.run('document.body.innerText')}")

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in an input, as a person does."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def drop_file(self, path: Path, x: int, y: int) -> None:
        """Drag a file from outside onto the page."""
        self.call("Input.setIgnoreInputEvents", ignore=False)
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def press(self, key: str) -> None:
        """Press a key by its name."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode={"Tab": 9}[key])

    def _listen(self) -> None:
        rest = b""
        while part := os.read(self._in, 1 << 16):
            *messages, rest = (rest + part).split(b"\0")
            with self._news:
                for text in messages:
                    message = json.loads(text)
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self._news.notify_all()
        os.close(self._in)
        with self._news:
            self._ended = True
            self._news.notify_all()
