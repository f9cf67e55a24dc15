"""Kernel sensor files, simulated as a folder in the shape of /sys/class/hwmon."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from spikeclip_fpga.host.power import RealClock, Sampler
from spikeclip_fpga.host.power.errors import BadReadingError, SourceMissingError
from spikeclip_fpga.host.power.hwmon import HwmonSource, list_hwmon


def put(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        # Replaced as a whole, as the kernel never shows half a value.
        (folder / f".{name}").write_text(f"{content}\n")
        (folder / f".{name}").replace(folder / name)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A KV260-like tree: a thermal chip, an INA260 of the board, a PMBus regulator with labels."""
    put(tmp_path / "hwmon0", name="cpu_thermal", temp1_input=41000)
    put(tmp_path / "hwmon1", name="ina260_u14", power1_input=4120000, in1_input=5012, curr1_input=822)
    put(
        tmp_path / "hwmon2",
        name="irps5401",
        power1_input=1250000,
        power1_label="pout1",
        power2_input=310000,
        power2_label="pout2",
        in2_input=851,
        in2_label="vout1",
        curr2_input=1468,
        curr2_label="iout1",
    )
    return tmp_path


def test_values_and_units(root: Path) -> None:
    source = HwmonSource("ina260_u14", boundary="5 V input", voltage="in1", current="curr1", power="power1", root=root)
    reading = source.read()
    assert (reading.power_w, reading.voltage_v, reading.current_a) == pytest.approx((4.12, 5.012, 0.822), abs=1e-12)
    assert source.name == "hwmon ina260_u14 power1" and source.resolution_w == 0.01


def test_labels_folders_and_products(root: Path) -> None:
    assert HwmonSource("irps5401", boundary="x", power="pout2", root=root).read().power_w == pytest.approx(0.31)
    assert HwmonSource("hwmon1", boundary="x", root=root).read().power_w == pytest.approx(4.12)
    product = HwmonSource("irps5401", boundary="x", voltage="vout1", current="iout1", root=root)
    assert product.read().power_w == pytest.approx(0.851 * 1.468)
    assert product.name == "hwmon irps5401 in2*curr2"


def test_what_there_is_is_listed(root: Path) -> None:
    assert list_hwmon(root) == {
        "hwmon1 (ina260_u14)": {"curr1": "curr1", "in1": "in1", "power1": "power1"},
        "hwmon2 (irps5401)": {"curr2": "iout1", "in2": "vout1", "power1": "pout1", "power2": "pout2"},
    }


def test_average_only_channels_are_read(tmp_path: Path) -> None:
    put(tmp_path / "hwmon0", name="acpi_meter", power1_average=65000000)
    assert HwmonSource("acpi_meter", boundary="whole PC", root=tmp_path).read().power_w == pytest.approx(65)


def test_rate_and_step_come_from_the_driver(root: Path) -> None:
    put(root / "hwmon3", name="ina226", power1_input=1000, shunt_resistor=5000, update_interval=35)
    source = HwmonSource("ina226", boundary="x", root=root)
    assert source.rate_hz == pytest.approx(1000 / 35)
    # Kernel driver ina2xx: 500 uA steps at 5 mOhm, power 25 times that.
    assert source.resolution_w == pytest.approx(0.0125)
    assert HwmonSource("ina226", boundary="x", rate_hz=5, resolution_w=1e-3, root=root).rate_hz == 5


def test_missing_things_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceMissingError, match=r"no chip 'ina226'; .*: hwmon1 \(ina260_u14\), hwmon2 \(irps5401\);"):
        HwmonSource("ina226", boundary="x", root=root)
    with pytest.raises(SourceMissingError, match=r"no chip 'ina226'; .*: none; load its driver, or measure outside"):
        HwmonSource("ina226", boundary="x", root=tmp_path / "nothing")
    with pytest.raises(SourceMissingError, match=r"2 power channels, expected one; .*power1 \(pout1\), power2"):
        HwmonSource("irps5401", boundary="x", root=root)
    with pytest.raises(SourceMissingError, match=r"expected one channel power\* called 'pout9', found 0; there are"):
        HwmonSource("irps5401", boundary="x", power="pout9", root=root)
    put(root / "hwmon7", name="irps5401", power1_input=1)
    with pytest.raises(SourceMissingError, match="2 chips are called irps5401; give one of hwmon2, hwmon7"):
        HwmonSource("irps5401", boundary="x", power="pout1", root=root)


def test_bad_content_and_vanishing_files(root: Path) -> None:
    source = HwmonSource("hwmon1", boundary="x", root=root)
    put(root / "hwmon1", power1_input="N/A")
    with pytest.raises(BadReadingError, match=r"hwmon hwmon1 power1: .*power1_input: expected an integer, got 'N/A'"):
        source.read()
    (root / "hwmon1" / "power1_input").unlink()
    with pytest.raises(SourceMissingError, match=r"hwmon hwmon1 power1: .*the chip or its driver is gone"):
        source.read()


def test_a_living_tree_is_sampled(root: Path) -> None:
    """A thread plays the kernel: 4.0 W and 4.2 W by turns."""
    done = threading.Event()

    def kernel() -> None:
        step = 0
        while not done.wait(0.002):
            step += 1
            put(root / "hwmon1", power1_input=4_000_000 + 200_000 * (step % 2))

    put(root / "hwmon1", power1_input=4_000_000)
    thread = threading.Thread(target=kernel)
    thread.start()
    try:
        source = HwmonSource("ina260_u14", boundary="5 V input", rate_hz=100, root=root)
        with Sampler(source, RealClock()) as sampler:
            start = sampler.clock.now()
            sampler.wait(0.8)
            window = sampler.window(start, sampler.clock.now())
    finally:
        done.set()
        thread.join()
    assert set(sampler._watts) == {4.0, 4.2}
    assert 4.0 < window.power_w < 4.2
