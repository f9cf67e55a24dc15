from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from spikeclip_fpga.cli import report as verb
from spikeclip_fpga.report.page import render
from spikeclip_fpga.report.schema import ReportError

from .conftest import ARTIFACTS


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    verb.add(parser.add_subparsers(dest="verb"))
    args = parser.parse_args(["report", *arguments])
    code: int = args.run(args)
    return code


def test_renders_a_report_again(content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "report.json"
    source.write_text(json.dumps(content))
    assert run("--from", str(source), "--out", str(tmp_path / "again")) == 0
    assert (tmp_path / "again" / "report.html").read_text(encoding="utf-8") == render(content)
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["report.html"]
    assert "report.html: written from" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--images", "0"), "--images: expected 1 or more, got 0"),
        (("--measurement", "nowhere.json"), "--measurement nowhere.json: no such file"),
        (("--sweep", "nowhere.json"), "--sweep nowhere.json: no such file"),
        (("--activity", "nowhere.json"), "--activity nowhere.json: no such file"),
        (("--from", "nowhere.json"), "nowhere.json: expected a report.json"),
        (("--artifacts", "nowhere", "--skip-baselines", "--no-build"), "make it with `spikeclip lower`"),
    ],
)
def test_what_is_not_there_is_told_at_once(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(ReportError, match=told):
        run("--out", str(tmp_path), *arguments)
    assert not list(tmp_path.iterdir())


def test_no_build_needs_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReportError, match="expected a build of this network; leave --no-build out"):
        run("--artifacts", str(ARTIFACTS), "--skip-baselines", "--no-build")
