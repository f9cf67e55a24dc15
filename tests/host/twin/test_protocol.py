"""pynq's remote device against the twin: files, registers, buffers, clocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from spikeclip_fpga.host.accelerator import FastAccelerator
from spikeclip_fpga.host.bundle import Bundle
from spikeclip_fpga.host.twin import Twin, TwinError

pytest.importorskip("pynq", reason="pynq is not installed here; this runs in the board environment")


@pytest.fixture
def local(bundle: Bundle, fast: FastAccelerator) -> Iterator[Twin]:
    """A twin at any free port: several tests can run at once."""
    with Twin.for_bundle(bundle, fast, port=0) as running:
        yield running


@pytest.fixture
def device(local: Twin) -> Iterator[Any]:
    from pynq import Clocks
    from pynq.pl_server.remote_device import RemoteDevice

    if "_real_instance" in vars(Clocks):  # pynq keeps those of a process's first device
        del Clocks._real_instance
    found = RemoteDevice(0, local.host, local.port)
    yield found
    found.client.channel.close()


def test_the_board_says_what_it_is(device: Any) -> None:
    assert (device.arch, device.name) == ("armv7l", "pynq-z2")


def test_buffers_keep_what_is_written_and_have_addresses_of_their_own(device: Any) -> None:
    first, second = device.allocate((5, 7), np.int32), device.allocate(3 << 20, np.uint8)
    ranges = [(b.physical_address, b.physical_address + b.nbytes) for b in (first, second)]
    assert ranges[0][1] <= ranges[1][0] and all(start % 4096 == 0 for start, _ in ranges)
    second[:] = np.arange(second.size) % 251
    second.flush()
    second[:] = 0
    second.invalidate()
    np.testing.assert_array_equal(second, np.arange(second.size) % 251)


def test_freed_memory_is_given_out_again(device: Any, local: Twin) -> None:
    for _ in range(10):
        buffer = device.allocate(100 << 20, np.uint8)
        assert buffer.physical_address
        buffer.freebuffer()
    assert len(local.board.memory) == 0


def test_more_memory_than_there_is_has_no_address(device: Any) -> None:
    buffer = device.allocate(1 << 30, np.uint8)
    with pytest.raises(RuntimeError, match="no such buffer"):
        _ = buffer.physical_address
    buffer.freed = True


def test_the_dma_sees_memory_only_after_a_flush(device: Any, local: Twin) -> None:
    buffer = device.allocate(16, np.uint8)
    buffer[:] = 7
    seen = local.board.memory.reach(buffer.physical_address, 16)
    local.board.memory.write(buffer.buffer_id, 0, b"\x07" * 16)
    assert not seen.any()
    buffer.flush()
    assert (seen == 7).all()
    seen[:] = 9
    assert local.board.memory.read(buffer.buffer_id, 0, 16) == b"\x07" * 16
    buffer.invalidate()
    assert (buffer == 9).all()


def test_no_file_of_this_machine_is_read_or_written(device: Any, tmp_path: Path) -> None:
    assert not device.exists_file(__file__).exists
    with pytest.raises(grpc.RpcError, match="no such file on the emulated board"):
        device.read_file(__file__)
    target = tmp_path / "written"
    with pytest.raises(grpc.RpcError, match="lets only"):
        device.write_file(str(target), b"x")
    assert not target.exists()


def test_registers_of_an_unconfigured_fabric_are_a_bus_error(device: Any) -> None:
    from pynq import MMIO

    registers = MMIO(0x4040_0000, 0x1_0000, device=device)
    with pytest.raises(RuntimeError, match=r"bus error at 0x40400004: the fabric is not configured"):
        registers.read(4)


def test_a_real_bitstream_is_refused(device: Any) -> None:
    device.write_file("/lib/firmware/real.bin", bytes.fromhex("ffffffff665599aa") * 100)
    with pytest.raises(grpc.RpcError, match="no emulation image"):
        device.write_file("/sys/class/fpga_manager/fpga0/firmware", b"real.bin")


def test_the_image_of_another_network_is_refused(device: Any, local: Twin) -> None:
    from pynq.pl_server.embedded_device import bit2bin

    from spikeclip_fpga.host.twin.image import Image, to_bit

    other = to_bit(Image(bytes(32), "other", "0"), "xc7z020clg400-1")
    device.write_file("/lib/firmware/other.bin", bit2bin(other))
    with pytest.raises(grpc.RpcError, match="not the one behind this board"):
        device.write_file("/sys/class/fpga_manager/fpga0/firmware", b"other.bin")
    assert local.board.configured == 0


def test_the_overlay_binds_drivers_sets_the_clock_and_shows_the_network(
    device: Any, local: Twin, bundle: Bundle
) -> None:
    from pynq import Overlay
    from pynq.lib.dma import DMA

    overlay = Overlay(local.overlay, device=device)
    assert overlay.ip_dict["axi_dma_0"]["driver"] is DMA
    assert isinstance(overlay.axi_dma_0, DMA)
    words = [overlay.spikeclip_id.read(offset) for offset in range(0, 0x30, 4)]
    assert words[:2] == [0x53434C50, 1] and words[10:] == [0, 0]
    assert b"".join(w.to_bytes(4, "little") for w in words[2:10]) == bundle.network_digest
    assert overlay.spikeclip_id.register_map.MAGIC[31:0] == 0x53434C50
    assert local.board.clocks.fabric_mhz() == pytest.approx(bundle.clk_mhz, rel=0.01)


def test_the_clock_in_the_registers_is_the_one_that_counts(local: Twin) -> None:
    assert local.board.clocks.fabric_mhz() == pytest.approx(100.0)
    local.board.clocks.set_fabric(0, (5, 4))
    assert local.board.clocks.fabric_mhz() == pytest.approx(50.0)


def test_it_listens_on_this_machine_only(bundle: Bundle, fast: FastAccelerator) -> None:
    for host in ("0.0.0.0", "192.0.2.1"):
        with pytest.raises(TwinError, match="loopback only"):
            Twin.for_bundle(bundle, fast, host=host, port=0)


def test_a_port_in_use_is_an_error(bundle: Bundle, fast: FastAccelerator, local: Twin) -> None:
    with pytest.raises(TwinError, match="in use"):
        Twin.for_bundle(bundle, fast, host=local.host, port=local.port)


def test_several_twins_have_pynqs_port_and_an_address_each(bundle: Bundle, fast: FastAccelerator, local: Twin) -> None:
    with Twin.for_bundle(bundle, fast) as first, Twin.for_bundle(bundle, fast) as second:
        assert first.port == second.port == 7967
        addresses = [twin.environment["PYNQ_REMOTE_DEVICES"] for twin in (first, second)]
        assert addresses == [first.host, second.host] and first.host != second.host
    with pytest.raises(TwinError, match="port 7967 only"):
        _ = local.environment
