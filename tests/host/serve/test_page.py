"""The page as a person meets it, in headless Chromium."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikeclip_fpga.host.accelerator import GoldenAccelerator
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.host.kinds import backend_kind
from spikeclip_fpga.host.power import EnergyReport
from spikeclip_fpga.host.serve import Service, new_token

from .chromium import Chromium, find_browser
from .conftest import Start, embed_labels, picture

PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium; `apt-get install chromium-headless-shell`, or set CHROMIUM to one"
)
# Screenshots to look at go there, if set.
PICTURES = os.environ.get("SPIKECLIP_PICTURES")
READY = "document.getElementById('status')?.textContent === 'Choose an image.'"
ROWS = "[...document.querySelectorAll('#top li')].map(li => li.innerText.split('\\n'))"
DONE = "document.querySelectorAll('#top li').length && !document.getElementById('status').textContent.endsWith('…')"
ERROR = "!document.getElementById('error').hidden && document.getElementById('error').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert PROGRAM is not None
    with Chromium(PROGRAM, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser: Chromium) -> Iterator[Chromium]:
    """The browser, on an empty page and without memory of other tests."""
    browser.call("Network.clearBrowserCookies")
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.call("Emulation.setEmulatedMedia", features=[])
    browser.events.clear()
    yield browser
    browser.open("about:blank")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "boot <b>.png"
    path.write_bytes(picture(7, (80, 60)))
    return path


def told(found: dict[str, Any]) -> list[list[str]]:
    return [[row["label"], f"{row['score']:.3f}"] for row in found["top"]]


def snap(page: Chromium, name: str) -> None:
    if PICTURES:
        shot = page.call("Page.captureScreenshot", captureBeyondViewport=True)
        (Path(PICTURES) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


def set_labels(page: Chromium, *names: str) -> None:
    """Replace the text of the label list as typing does."""
    page.run("document.getElementById('labels').select()")
    page.run("document.getElementById('labels').focus()")
    page.call("Input.insertText", text="\n".join(names))
    page.run("document.getElementById('labels').blur()")


def test_choose_an_image_edit_labels_read_the_answer(
    page: Chromium, start: Start, service: Service, bundle: Bundle, image: Path
) -> None:
    body = image.read_bytes()
    with start() as server:
        page.open(server.url)
        page.until(READY)
        assert page.run("document.getElementById('labels').value").split("\n") == list(bundle.labels.names)
        text = page.run("document.body.innerText")
        for word in ("software", "golden: numpy reference", "not measured", "no bitstream built", "900 µs"):
            assert word in text, text
        snap(page, "empty")

        page.choose_file("#file", image)
        page.until(DONE)
        assert page.run(ROWS) == told(service.classify(body, "image/png", []))
        assert page.run("document.getElementById('file-name').innerText") == image.name
        assert "ms in all" in page.run("document.getElementById('latency').innerText")
        seen = page.run("document.getElementById('seen').src")
        assert seen == service.classify(body, "image/png", [])["seen"]
        widths = page.run("[...document.querySelectorAll('.bar span')].map(s => s.getBoundingClientRect().width)")
        assert widths == sorted(widths, reverse=True) and widths[0] > 0
        snap(page, "answer")

        set_labels(page, "bag", "", " dress ", "bag")
        page.until(f"{DONE} && document.querySelectorAll('#top li').length === 2")
        assert page.run(ROWS) == told(service.classify(body, "image/png", ["bag", "dress"]))
        page.run("document.getElementById('reset').click()")
        page.until(f"{DONE} && document.querySelectorAll('#top li').length === 5")
        assert page.run(ROWS) == told(service.classify(body, "image/png", []))
        assert all(url.startswith(server.url) for url in page.requests), page.requests
    assert page.complaints == []


def test_drop_an_image(page: Chromium, start: Start, service: Service, image: Path) -> None:
    with start() as server:
        page.open(server.url)
        page.until(READY)
        spot = page.run("(({x, y}) => [x, y])(document.getElementById('drop').getBoundingClientRect())")
        page.drop_file(image, int(spot[0]) + 20, int(spot[1]) + 20)
        page.until(DONE)
        assert page.run(ROWS) == told(service.classify(image.read_bytes(), "image/png", []))


def test_labels_beyond_the_bundles(
    page: Chromium, start: Start, service: Service, bundle: Bundle, golden: GoldenAccelerator, image: Path
) -> None:
    """Refused with the reason where there is no text tower, embedded where there is one."""
    with start() as server:
        page.open(server.url)
        page.until(READY)
        page.choose_file("#file", image)
        page.until(DONE)
        set_labels(page, "dress", "red hat")
        assert "red hat" in page.until(ERROR) and "no text tower here" in page.run(ERROR)
        assert "no text tower here" in page.run("document.getElementById('labels-hint').textContent")
        assert page.run(ROWS) == []
        snap(page, "refused")
    able = Service(bundle, golden, backend_kind("golden", built=False), embed_labels=embed_labels)
    with start(able) as server:
        page.open(server.url)
        page.until(READY)
        page.choose_file("#file", image)
        page.until(DONE)
        set_labels(page, "dress", "<img src=x onerror=alert(1)>")
        page.until(f"{DONE} && document.querySelectorAll('#top li').length === 2")
        names = ["dress", "<img src=x onerror=alert(1)>"]
        assert page.run(ROWS) == told(able.classify(image.read_bytes(), "image/png", names))
        assert page.run("document.querySelectorAll('#top img').length") == 0


def test_joules_are_shown_with_who_measured_them(
    page: Chromium, start: Start, bundle: Bundle, golden: GoldenAccelerator, measured: EnergyReport
) -> None:
    with start(Service(bundle, golden, backend_kind("pynq", built=True, environment={}), energy=measured)) as server:
        page.open(server.url)
        page.until(READY)
        said = page.run("document.getElementById('energy').innerText")
        assert said.startswith("0.0042 J an image (4.2 mJ, 95 %: 4.") and measured.created in said
        assert said.endswith("by ina226: 5 V input of the board")
        badge = page.run("(b => [b.innerText, b.className])(document.getElementById('kind'))")
        assert badge == ["hardware", "badge hardware"]


def test_files_that_are_no_images(page: Chromium, start: Start, tmp_path: Path, image: Path) -> None:
    text, broken = tmp_path / "notes.txt", tmp_path / "broken.png"
    text.write_text("not an image")
    broken.write_bytes(image.read_bytes()[:50])
    large = tmp_path / "large.png"
    large.write_bytes(bytes(13 << 20))
    with start() as server:
        page.open(server.url)
        page.until(READY)
        for path, word in ((text, "content type"), (broken, "not a readable image"), (large, "at most")):
            page.choose_file("#file", path)
            assert word in page.until(ERROR)
            page.run("document.getElementById('error').hidden = true")
        page.choose_file("#file", image)
        page.until(DONE)
        assert page.run("document.getElementById('error').hidden")


def test_with_a_token_from_the_network(page: Chromium, start: Start, image: Path) -> None:
    token = new_token()
    with start(host="0.0.0.0", token=token) as server:
        page.open(f"http://127.0.0.1:{server.port}/")
        page.until("document.body?.innerText.includes('token is needed')")
        page.open(f"http://127.0.0.1:{server.port}/?token={token}")
        page.until(READY)
        assert page.run("location.search") == ""
        page.choose_file("#file", image)
        page.until(DONE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 375, 1200])
def test_fits_phones_and_both_colour_schemes(
    page: Chromium, start: Start, image: Path, scheme: str, width: int
) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 600)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    with start() as server:
        page.open(server.url)
        page.until(READY)
        page.choose_file("#file", image)
        page.until(DONE)
        snap(page, f"{scheme}-{width}")
        assert page.run("document.documentElement.scrollWidth") <= width
        buttons = "[...document.querySelectorAll('button, .button')]"
        heights = page.run(f"{buttons}.map(b => b.getBoundingClientRect().height)")
        assert len(heights) == 3 and min(heights) >= 44  # as large as a finger
        for text, ratio in contrasts(page):
            assert ratio >= 4.5, f"{scheme}: {text}: contrast {ratio:.2f}"


def contrasts(page: Chromium) -> list[tuple[str, float]]:
    """Return each visible text of the page with its contrast to what is behind it, as WCAG computes it."""
    found = page.run("""
      [...document.querySelectorAll('h1, h2, p, span, label, li, dt, dd, button, textarea, figcaption')]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || e.tagName === 'TEXTAREA')
        .filter(e => e.checkVisibility() && !e.disabled)
        .map(e => {
          const behind = (x) => getComputedStyle(x).backgroundColor;
          let page = e;
          while (behind(page) === 'rgba(0, 0, 0, 0)') page = page.parentElement;
          return [e.textContent.slice(0, 30), getComputedStyle(e).color, behind(page)];
        })""")

    def luminance(colour: str) -> float:
        parts = [int(v) / 255 for v in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert len(found) > 15
    rows = [(text, sorted((luminance(front), luminance(back)))) for text, front, back in found]
    return [(text, (light + 0.05) / (dark + 0.05)) for text, (dark, light) in rows]


def test_keyboard_and_screen_reader(page: Chromium, start: Start, image: Path) -> None:
    with start() as server:
        page.open(server.url)
        page.until(READY)
        page.choose_file("#file", image)
        page.until(DONE)
        page.run("document.activeElement.blur()")
        reached = []
        for _ in range(4):
            page.press("Tab")
            reached.append(page.run("document.activeElement.id"))
        assert reached == ["file", "labels", "again", "reset"]
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {}
    for node in nodes:
        if not node["ignored"]:
            named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("button", "textbox", "heading", "image", "region"):
        assert named.get(role), json.dumps(named)
        assert all(named[role]), f"{role} without a name: {named[role]}"
    assert "status" in named and "list" in named and len(named["listitem"]) == 5
    assert page.run("document.documentElement.lang") == "en"
