"""The page as text: all it says comes from the report, and nothing in the report becomes markup."""

from __future__ import annotations

import copy
import html.parser
import re
from collections.abc import Callable
from typing import Any

import pytest

from spikeclip_fpga.report.page import numbers, render

VOID = {"meta", "link", "img", "br", "hr", "input"}
LOADS = {"src", "href", "srcset", "data", "action", "poster", "xlink:href", "background", "formaction", "ping"}


class Reader(html.parser.HTMLParser):
    """Collects elements, what they would load, and the text; complains of elements closed in another order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.addresses += [value or "" for name, value in attrs if name in LOADS]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.addresses += [value or "" for name, value in attrs if name in LOADS]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def test_the_page_is_whole_and_loads_nothing(content: dict[str, Any]) -> None:
    page = render(content)
    read = Reader(page)
    names = [tag for tag, _ in read.elements]
    assert "script" not in names and "iframe" not in names and "object" not in names
    assert all(a.startswith(("data:", "#")) for a in read.addresses), read.addresses
    style = "".join(re.findall(r"<style>.*?</style>", page, re.DOTALL))
    assert "@import" not in page and "url(" not in style
    assert not re.search(r"url\((?!#)", page)
    assert not re.search(r"https?://", page)
    assert names.count("h1") == 1 and names.count("main") == 1
    ids = [attrs["id"] for _, attrs in read.elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    for address in read.addresses:
        assert not address.startswith("#") or address[1:] in ids, address


def test_charts_and_pictures_have_names(content: dict[str, Any]) -> None:
    elements = Reader(render(content)).elements
    charts = [attrs for tag, attrs in elements if tag == "svg"]
    pictures = [attrs for tag, attrs in elements if tag == "img"]
    # Energies, memory, fabric, two rooflines, three of the sweep, and the rasters.
    assert len(charts) == 8 + len(content["rasters"])
    assert all(attrs["role"] == "img" and len(attrs["aria-label"] or "") > 40 for attrs in charts)
    assert len(pictures) == len(content["rasters"])
    assert all("Test image" in (attrs["alt"] or "") for attrs in pictures)
    heads = [attrs for tag, attrs in elements if tag == "th"]
    assert heads and all(attrs.get("scope") in ("row", "col") for attrs in heads)


def test_the_figure_of_parts_has_every_number_of_the_table(collected: dict[str, Any]) -> None:
    content = copy.deepcopy(collected)
    rows = content["energy"]["estimates"]["comparison"]["rows"]
    first = content["networks"][0]
    # As `spikeclip report` has them with baselines: each network's row of the table is its row of the comparison.
    content["networks"] += [
        first | {"kind": row["network"], "name": row["name"], "energies": first["energies"] | row} for row in rows[1:]
    ]
    (figure,) = (
        svg for svg in re.findall(r"<svg.*?</svg>", render(content), re.DOTALL) if "Memory-aware energy" in svg
    )
    bold = re.findall(r'<text style="[^"]*(?:bold|700)[^"]*"[^>]*>([^<]*)</text>', figure)
    shown = [network["energies"]["memory_aware"]["value_nj"] for network in content["networks"]]
    assert len(shown) == 3 and bold == [numbers.energy(value) for value in shown]
    assert "time-parallel" in figure and figure.count("dataflow</text>") == 2
    without = render(collected)
    assert "dataflow</text>" not in without and "time-serial</text>" in without


CHANGES: list[tuple[str, Callable[[dict[str, Any]], None], str]] = [
    ("accuracy", lambda r: r["networks"][0]["accuracy"].update(percent=12.34), "12.34 %"),
    ("theory", lambda r: r["networks"][0]["energies"]["theory"].update(value_nj=7_654_321.0), "7.65 mJ"),
    ("fabric", lambda r: r["networks"][0]["energies"]["fabric"].update(high_nj=8_765_432.0), "8.77 mJ"),
    ("layer", lambda r: r["energy"]["estimates"]["theory"]["layers"][3].update(energy_nj=4_321_000.0), "4,321"),
    (
        "memory",
        lambda r: r["energy"]["estimates"]["comparison"]["rows"][0]["variants"].update(
            {"time_serial, packed, width": 3_456_789.0}
        ),
        "3.46 mJ",
    ),
    ("part", lambda r: r["energy"]["fabric"]["spikeclip"]["parts_nj"]["dsp"].update(value=2.22e6, high=3e6), "2.22 mJ"),
    ("closed", lambda r: r["energy"]["estimates"]["theory"].update(reduction_closed_form=0.4242), "42.42 %"),
    ("papers", lambda r: r["energy"]["estimates"]["papers"]["table"][2].update(exact_percent=55.5555), "55.5555 %"),
    ("ladder", lambda r: r["ladder"][4].update(mismatches=1234), "1 level(s) differ"),
    ("rate", lambda r: r["spikes"]["layers"][2].update(rate=0.987), "98.7"),
    ("heat", lambda r: r["spikes"]["layers"][2]["rate_by_step"].__setitem__(1, 6.66), "666"),
    ("class", lambda r: r["spikes"]["classes"][1].update(sops=777_700_000.0), "778"),
    ("sops", lambda r: r["spikes"]["operations"][1].update(sops=123_400.0), "0.123"),
    ("frames", lambda r: r["hardware"].update(frames_per_second=98_765.0), "98,765"),
    ("why", lambda r: r["hardware"].update(why="because I say so"), "because I say so."),
    ("cycles", lambda r: r["hardware"]["nodes"][3].update(cycles=31_313), "31,313"),
    ("lut", lambda r: r["networks"][0]["hardware"]["total"].update(lut=45_454), "45,454"),
    ("stage", lambda r: r["hardware"]["stages"][0].update(lut=32_323), "32,323"),
    ("limit", lambda r: r["hardware"]["limits"][-1].update(frames_per_second=676_767.0), "676,767"),
    ("sweep", lambda r: r["sweep"]["points"][0].update(accuracy=65.43), "65.43"),
    ("note", lambda r: r["provenance"]["notes"].append("a caveat of mine"), "a caveat of mine"),
    ("commit", lambda r: r["provenance"].update(commit="c0ffee"), "c0ffee"),
]


def test_numbers_come_from_the_report(content: dict[str, Any]) -> None:
    """Every number changed in the report is changed on the page: all at once, each with a value of its own."""
    changed = copy.deepcopy(content)
    for _, change, _ in CHANGES:
        change(changed)
    before, after = (Reader(render(report)).text for report in (content, changed))
    unmoved = [name for name, _, expected in CHANGES if after.count(expected) <= before.count(expected)]
    assert not unmoved


def test_without_sweep_activity_and_board_the_page_says_so(content: dict[str, Any]) -> None:
    content["sweep"], content["energy"]["fabric"] = None, {}
    text = Reader(render(content)).text
    assert "No sweep file was given" in text
    assert "No activity was simulated for this report" in text
    assert "Nothing here ran on a board" in text
    assert "Not measured: no measurement was given." in text


def test_a_measurement_is_told_with_its_interval(content: dict[str, Any]) -> None:
    interval = {"value_nj": 3e6, "low_nj": 2e6, "high_nj": 4e6}
    content["energy"]["measured"] = {
        **{"state": "measured", "dynamic": interval, "total": interval, "boundary": "5V_input", "sensor": "INA226"},
        **{"rate_hz": 100.0, "configured_idle_w": 1.5, "active_w": 1.6, "images_per_second": 2700.0, "windows": 5},
        "window_s": 10.0,
    }
    content["provenance"]["on_board"] = True
    content["networks"][0]["energies"]["measured"] |= interval
    text = Reader(render(content)).text
    assert "Dynamic 3.00 mJ (2.00 mJ to 4.00 mJ, 95 %)" in text
    assert "Nothing here ran on a board" not in text


def test_a_ratio_is_told_with_what_limits_it(content: dict[str, Any]) -> None:
    first, other = (network["energies"]["fabric"] for network in content["networks"])
    first |= {"value_nj": 200.0, "low_nj": 100.0, "high_nj": 300.0}
    other |= {"value_nj": 400.0, "low_nj": 300.0, "high_nj": 500.0}
    content["networks"][1]["fabric_of"] = "the network rounded"
    told = "0.50 times by the estimate of this FPGA (of the network rounded; the intervals overlap)"
    assert told in Reader(render(content)).text
    other["low_nj"] = 301.0
    content["networks"][1]["fabric_of"] = None
    assert "0.50 times by the estimate of this FPGA." in Reader(render(content)).text


def test_a_baseline_that_does_not_fit_says_why(content: dict[str, Any]) -> None:
    content["networks"][1]["hardware"] = {"missing": "needs 300 DSP, the board has 220", "notes": []}
    assert "needs 300 DSP, the board has 220" in Reader(render(content)).text


EVIL = "<script>window.pwned = 1</script><img src=x onerror=window.pwned=2>\"'&amp;$x$"


def poisoned(content: dict[str, Any]) -> dict[str, Any]:
    """Return the report with EVIL wherever a file or a person may have put a text."""
    evil = copy.deepcopy(content)
    for one in evil["spikes"]["classes"]:
        one["name"] += EVIL
    for entry in evil["rasters"]:
        entry["label"] = entry["predicted"] = EVIL
        for layer in entry["layers"]:
            layer["name"] += EVIL
    for row in (*evil["spikes"]["layers"], *evil["spikes"]["operations"], *evil["hardware"]["nodes"]):
        row["name" if "name" in row else "layer"] += EVIL
    for row in evil["hardware"]["roofline"]["points"]:
        row["layer"] += EVIL
    for network in evil["networks"]:
        network["name"] = network["what"] = EVIL
    evil["head"] |= {"preset": EVIL, "data_set": EVIL}
    evil["hardware"] |= {"why": EVIL, "faster": EVIL, "board": EVIL, "part": EVIL}
    evil["sweep"]["note"] = EVIL
    evil["provenance"] |= {"notes": [EVIL], "command": [EVIL], "commit": EVIL}
    for file in evil["provenance"]["files"]:
        file["path"] = EVIL
    return evil


def test_nothing_given_becomes_markup(content: dict[str, Any]) -> None:
    good, read = Reader(render(content)), Reader(render(poisoned(content)))
    assert [tag for tag, _ in read.elements if tag in ("script", "img")] == ["img"] * len(content["rasters"])
    assert not [attrs for _, attrs in read.elements if any(name.startswith("on") for name in attrs)]
    # The same elements as without: nothing was opened or closed by a text.
    assert len([1 for tag, _ in read.elements if tag == "tr"]) == len([1 for tag, _ in good.elements if tag == "tr"])
    assert read.text.count("window.pwned = 1") > 50


@pytest.mark.parametrize(
    ("nanojoules", "shown"),
    [
        (0.0, "0 nJ"),
        (0.01234, "0.0123 nJ"),
        (9.99, "9.99 nJ"),
        (123.4, "123 nJ"),
        (9480.0, "9.48 µJ"),
        (304_380.0, "304 µJ"),
        (3.17e6, "3.17 mJ"),
        (4.321e9, "4,321 mJ"),
        (None, "\N{EN DASH}"),
    ],
)
def test_energies_have_units_and_sensible_digits(nanojoules: float | None, shown: str) -> None:
    assert numbers.energy(nanojoules).replace("\N{NO-BREAK SPACE}", " ") == shown


def test_small_and_large_numbers() -> None:
    assert numbers.significant(0.00012345) == "0.000123"
    assert numbers.significant(999.6) == "1,000"
    assert numbers.si(85.1e9, "op/s").replace("\N{NO-BREAK SPACE}", " ") == "85.1 Gop/s"
    assert numbers.signed(-8.31) == "\N{MINUS SIGN}8.31"
    assert numbers.percent(0.2088) == "20.9\N{NO-BREAK SPACE}%"
