"""The page as a person meets it: in headless Chromium on a phone, on a screen, on paper."""

from __future__ import annotations

import base64
import copy
import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikeclip_fpga.report.page import render

from ..host.serve.chromium import Chromium, find_browser
from .test_render import poisoned

PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium; `apt-get install chromium-headless-shell`, or set CHROMIUM to one"
)
# Screenshots to look at go there, if set.
PICTURES = os.environ.get("SPIKECLIP_PICTURES")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert PROGRAM is not None
    with Chromium(PROGRAM, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def show(browser: Chromium, path: Path, content: dict[str, Any], width: int = 1280, scheme: str = "light") -> None:
    """Render the report to ``path`` and open it in a window of ``width``."""
    path.write_text(render(content), encoding="utf-8")
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open("about:blank")
    browser.until("location.href === 'about:blank'")
    browser.events.clear()
    browser.open(path.as_uri())
    browser.until("location.protocol === 'file:' && document.readyState === 'complete'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_fits_screens_and_both_colour_schemes(
    browser: Chromium, content: dict[str, Any], tmp_path: Path, width: int, scheme: str
) -> None:
    page = tmp_path / "report.html"
    show(browser, page, content, width, scheme)
    if PICTURES:
        whole = {"x": 0, "y": 0, "width": width, "scale": 1}
        whole["height"] = browser.run("document.documentElement.scrollHeight")
        shot = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=whole)
        (Path(PICTURES) / f"report-{scheme}-{width}.png").write_bytes(base64.b64decode(shot["data"]))
    assert browser.run("document.scrollingElement.scrollWidth <= innerWidth")
    assert browser.requests == [page.as_uri()]
    assert browser.complaints == []
    # Nothing sticks out of its card, unless a box of its own scrolls.
    outside = browser.run("""
      [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') && !e.closest('svg'))
        .filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 80))""")
    assert outside == []
    assert browser.run("[...document.querySelectorAll('svg.chart')].every(e => e.getBoundingClientRect().width > 250)")
    for text, ratio in contrasts(browser):
        assert ratio >= 4.5, f"{scheme}: {text}: contrast {ratio:.2f}"


def contrasts(browser: Chromium) -> list[tuple[str, float]]:
    """Return each visible text of the page with its contrast to what is behind it, as WCAG computes it."""
    found = browser.run("""
      [...document.querySelectorAll('h1, h2, h3, p, span, a, li, dd, th, td:not(.heat), small, summary, figcaption')]
        .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
        .filter(e => e.checkVisibility())
        .map(e => {
          const behind = (x) => getComputedStyle(x).backgroundColor;
          let back = e;
          while (behind(back) === 'rgba(0, 0, 0, 0)') back = back.parentElement;
          return [e.textContent.slice(0, 30), getComputedStyle(e).color, behind(back)];
        })""")

    def luminance(colour: str) -> float:
        parts = [int(v) / 255 for v in re.findall(r"\d+", colour)[:3]]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert len(found) > 300
    rows = [(text, sorted((luminance(front), luminance(back)))) for text, front, back in found]
    return [(text, (light + 0.05) / (dark + 0.05)) for text, (dark, light) in rows]


def test_colours_of_charts_follow_the_scheme(browser: Chromium, content: dict[str, Any], tmp_path: Path) -> None:
    colours = []
    for scheme in ("light", "dark"):
        show(browser, tmp_path / "report.html", content, 1280, scheme)
        colours.append(browser.run("getComputedStyle(document.querySelector('svg.chart text')).fill"))
    assert colours[0] != colours[1]


def test_prints_on_a4(browser: Chromium, content: dict[str, Any], tmp_path: Path) -> None:
    show(browser, tmp_path / "report.html", content)
    browser.call("Emulation.clearDeviceMetricsOverride")
    pdf = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])
    assert pdf.startswith(b"%PDF")
    boxes = {tuple(map(float, box.split())) for box in re.findall(rb"/MediaBox \[([^\]]*)\]", pdf)}
    assert len(boxes) == 1
    _, _, width, height = boxes.pop()
    assert (round(width), round(height)) == (595, 842)
    assert 5 <= len(re.findall(rb"/Type /Page\b", pdf)) <= 30


def test_what_is_folded_away_is_printed_and_long_paths_fit(
    browser: Chromium, content: dict[str, Any], tmp_path: Path
) -> None:
    content = copy.deepcopy(content)
    for file in content["provenance"]["files"]:
        file["path"] = "/" + 100 * "x" + file["path"]
    for row in content["ladder"]:
        row["source"] = "/" + 100 * "x" + row["source"]
    show(browser, tmp_path / "report.html", content, 700)
    heights = "[...document.querySelectorAll('details')].map(e => e.getBoundingClientRect().height)"
    assert max(browser.run(heights)) < 50
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert min(browser.run(heights)) > 100
        wide = "[...document.querySelectorAll('table, svg.chart')].filter(e => e.scrollWidth > innerWidth).length"
        assert browser.run(wide) == 0
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")


def test_texts_of_others_do_not_run(browser: Chromium, content: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    show(browser, page, poisoned(content))
    assert browser.run("typeof window.pwned") == "undefined"
    assert browser.run("document.scripts.length") == 0
    assert browser.requests == [page.as_uri()]
    assert browser.complaints == []


def test_is_read_out(browser: Chromium, content: dict[str, Any], tmp_path: Path) -> None:
    show(browser, tmp_path / "report.html", content)
    named: dict[str, list[str]] = {}
    for node in browser.call("Accessibility.getFullAXTree")["nodes"]:
        if not node["ignored"]:
            named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for role in ("heading", "image", "region", "link"):
        assert named.get(role) and all(named[role]), role
    assert "navigation" in named and "main" in named and "table" in named
    assert browser.run("document.documentElement.lang") == "en"
    levels = browser.run("[...document.querySelectorAll('h1, h2, h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1 and all(b - a <= 1 for a, b in itertools.pairwise(levels))
