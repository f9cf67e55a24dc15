"""The boards: FINN's own facts, one-line errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spikeclip_fpga.hw import boards

from .finn_graphs import finn_in


@pytest.fixture
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    pytest.importorskip("finn", reason="needs finn-plus: pip install 'spikeclip-fpga[build]'")
    with finn_in(tmp_path_factory.mktemp("finn")):
        yield


@pytest.mark.parametrize("board", boards.BOARDS.values(), ids=lambda board: board.name)
@pytest.mark.usefixtures("finn")
def test_facts_are_finns(board: boards.Board) -> None:
    from finn.builder.build_dataflow_config import ShellFlowType
    from finn.util.basic import alveo_part_map, part_map, pynq_part_map

    assert part_map[board.finn_name] == board.part
    shell = ShellFlowType(board.shell)
    assert (shell is ShellFlowType.VITIS_ALVEO) == (board.finn_name in alveo_part_map)
    assert (shell is ShellFlowType.VIVADO_ZYNQ) == (board.finn_name in pynq_part_map)
    assert (board.memory_gb is None) == (shell is ShellFlowType.VITIS_ALVEO)
    assert board.clk_mhz > 0
    assert board.power


@pytest.mark.parametrize("board", boards.BOARDS.values(), ids=lambda board: board.name)
@pytest.mark.usefixtures("finn")
def test_totals_are_finns_where_it_has_them(board: boards.Board) -> None:
    from finn.util.platforms import platforms

    if board.finn_name not in platforms:
        # FINN has no such table: the one board we took from its data sheet.
        assert board.name == "kv260"
        return
    lut, _, bram18, uram, dsp = (
        sum(column) for column in zip(*platforms[board.finn_name]().compute_resources, strict=True)
    )
    assert board.totals == {"lut": lut, "bram18": bram18, "dsp": dsp, "uram": uram}


def test_every_platform_of_findings_is_there() -> None:
    named = {"pynq-z2", "pynq-z1", "zcu104", "kv260", "aup-zu3", "u250", "u280"}
    assert named <= set(boards.BOARDS)


def test_families_follow_from_the_parts() -> None:
    assert boards.find("pynq-z1").family == "xc7"
    assert {board.family for board in boards.BOARDS.values() if not board.name.startswith("pynq")} == {"xcup"}


def test_boards_without_rails_are_measured_from_outside() -> None:
    for name in ("pynq-z1", "pynq-z2"):
        assert not {"pmbus", "hwmon", "xrt"} & set(boards.find(name).power)
    for name in ("zcu104", "kv260", "u250"):
        assert {"pmbus", "hwmon", "xrt"} & set(boards.find(name).power)


def test_a_board_is_found_by_finns_name_too() -> None:
    for board in boards.BOARDS.values():
        assert boards.find(board.finn_name) is board
        assert boards.find(board.name.upper()) is board


def test_an_unknown_board_names_those_there_are() -> None:
    with pytest.raises(boards.BoardError) as error:
        boards.find("pynq-z3")
    message = str(error.value)
    assert message.startswith("pynq-z3: no such board; there are pynq-z2, pynq-z1, ")
    assert message.endswith("did you mean pynq-z2?") or message.endswith("did you mean pynq-z1?")
    assert "\n" not in message


def test_the_table_has_a_line_for_every_board() -> None:
    lines = boards.table().splitlines()
    assert [line.split()[0] for line in lines] == ["board", *boards.BOARDS]
    assert "53,200" in lines[1]
