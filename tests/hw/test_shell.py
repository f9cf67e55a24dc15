"""The shell between AXI DMA and the accelerator equals a model of bytes in and words out, ends of batches included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikeclip_fpga.hw import beats
from spikeclip_fpga.hw.shell import wrapper
from spikeclip_fpga.hw.shell.geometry import Geometry, ShellError
from spikeclip_fpga.hw.simulate import STALLS, BuildError, Model, SimulationError, build

SHELL = Path(wrapper.__file__).parent
SOURCES = (SHELL.parent / "lib" / "fifo.sv", SHELL / "dma_shell.sv")
NETWORK = bytes(range(200, 232))
# in_bytes, frame_bytes, pe, out_width, out_bits, elements, frames
GEOMETRIES = [
    Geometry(3, 48, 3, 18, 56, 24),  # tiny's widths
    Geometry(1, 13, 1, 18, 24, 5),  # frames that end within a word
    Geometry(1, 1, 1, 1, 8, 1, frames=2),  # nothing but ends
    Geometry(2, 6, 2, 32, 64, 4),
    Geometry(3, 15, 4, 7, 32, 4, frames=3),
    Geometry(4, 16, 1, 32, 32, 6),
    Geometry(6, 6, 5, 9, 48, 5),  # a frame is one beat
    Geometry(7, 35, 1, 12, 16, 3),
    Geometry(12, 60, 8, 18, 144, 16),
]
IDS = [f"{g.in_bytes}of{g.frame_bytes}-{g.pe}x{g.out_width}of{g.elements}" for g in GEOMETRIES]


def to_words(batches: list[np.ndarray]) -> np.ndarray:
    """Return the 37-bit words AXI DMA sends for buffers of bytes: {last, keep, data}."""
    fields = []
    for batch in batches:
        for at in range(0, len(batch), 4):
            part = bytes(batch[at : at + 4])
            noise = b"\xa5" * (4 - len(part))  # lanes without keep hold anything
            keep, last = (1 << len(part)) - 1, at + 4 >= len(batch)
            fields.append([int.from_bytes(part + noise, "little"), keep | last << 4])
    table = np.array(fields, np.uint64).reshape(-1, 2)
    return table.astype(np.uint32)


def expected_words(shape: Geometry, batches: list[np.ndarray], elements: np.ndarray) -> np.ndarray:
    """Return the 33-bit words that must come back: {last, data}. elements: (frames, E) signed."""
    ends = set(np.cumsum([len(b) for b in batches]).tolist())
    words = np.zeros((elements.size, 2), np.uint32)
    words[:, 0] = elements.astype(np.int32).reshape(-1).view(np.uint32)
    for frame in range(len(elements)):
        words[(frame + 1) * shape.elements - 1, 1] = (frame + 1) * shape.frame_bytes in ends
    return words


def embedding_beats(shape: Geometry, elements: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return elements as the accelerator's beats, with noise in the padding."""
    packed = beats.pack(elements.reshape(-1, shape.pe), shape.out_width)
    full = np.zeros((len(packed), beats.words_of(shape.out_bits)), np.uint32)
    full[:, : packed.shape[1]] = packed
    for bit in range(shape.pe * shape.out_width, shape.out_bits):
        full[:, bit // 32] |= rng.integers(0, 2, len(full)).astype(np.uint32) << np.uint32(bit % 32)
    return full


def draw(shape: Geometry, sizes: list[int], seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return buffers of so many bytes and the elements of the whole frames in them, extremes among them."""
    rng = np.random.default_rng(seed)
    batches = [rng.integers(0, 256, size).astype(np.uint8) for size in sizes]
    low, high = -(1 << (shape.out_width - 1)), (1 << (shape.out_width - 1)) - 1
    elements = rng.integers(low, high + 1, (sum(sizes) // shape.frame_bytes, shape.elements))
    elements[0, 0], elements[-1, -1] = low, high
    return batches, elements


def model_of(shape: Geometry) -> Model:
    return build("sc_dma_shell", SOURCES, shape.parameters)


@pytest.mark.parametrize("shape", GEOMETRIES, ids=IDS)
def test_every_byte_word_and_end_of_batch(shape: Geometry) -> None:
    model = model_of(shape)
    size = shape.frame_bytes
    for seed, (pattern, stalls) in enumerate(STALLS.items()):
        # Batches of 1, 2 and 5 frames back to back; then one that ends within a frame (if it can) and its rest.
        cut = max(1, size // 2)
        sizes = [size, 2 * size, 5 * size, size, size + cut, 3 * size - cut]
        batches, elements = draw(shape, sizes, seed)
        inputs = {
            "mm2s": to_words(batches),
            "embedding": embedding_beats(shape, elements, np.random.default_rng(seed)),
        }
        pixels = beats.pack(np.concatenate(batches).reshape(-1, shape.in_bytes), 8)
        words = expected_words(shape, batches, elements)
        with model.open(seed=seed + 1) as simulation:
            for again in range(2):
                run = simulation.run(
                    inputs, {"pixels": len(pixels), "s2mm": len(words)}, stalls=stalls, seed=10 * seed + again
                )
                np.testing.assert_array_equal(run.outputs["pixels"], pixels, err_msg=pattern)
                np.testing.assert_array_equal(run.outputs["s2mm"], words, err_msg=pattern)
                assert simulation.probe("frames_o") == len(elements) * (again + 1)
                assert simulation.probe("state_o") == 0
    # A size that is cut marks no end: the model above says so, and this that the model was asked.
    assert words[:, 1].sum() == (5 if cut < size else 6)


@pytest.mark.parametrize("shape", [GEOMETRIES[0], GEOMETRIES[5], GEOMETRIES[8]], ids=lambda s: str(s.in_bytes))
def test_latency_and_initiation_interval_are_the_headers(shape: Geometry) -> None:
    batches, elements = draw(shape, [8 * shape.frame_bytes], 0)
    inputs = {
        "mm2s": to_words(batches),
        "embedding": embedding_beats(shape, elements, np.random.default_rng(0)),
    }
    counts = {"pixels": 8 * shape.frame_bytes // shape.in_bytes, "s2mm": elements.size}
    with model_of(shape).open() as simulation:
        run = simulation.run(inputs, counts)
    assert run.latency("mm2s", "pixels") == -(-shape.in_bytes // 4)
    assert run.latency("embedding", "s2mm") == 1
    busiest = run.moved["pixels"] if shape.in_bytes < 4 else run.moved["mm2s"]
    assert (np.diff(busiest) == 1).all()
    # With every pixel in before the first element, words follow each other without a gap.
    with model_of(shape).open() as simulation:
        nothing = np.zeros((0, inputs["embedding"].shape[1]), np.uint32)
        simulation.run(inputs | {"embedding": nothing}, counts | {"s2mm": 0})
        run = simulation.run(inputs | {"mm2s": inputs["mm2s"][:0]}, counts | {"pixels": 0})
    assert (np.diff(run.moved["s2mm"]) == 1).all()


def test_state_bits_and_a_short_batch_that_never_ends() -> None:
    shape = GEOMETRIES[0]
    batches, elements = draw(shape, [shape.frame_bytes - 4, 4], 3)
    words, results = to_words(batches), expected_words(shape, [np.concatenate(batches)], elements)
    answers = embedding_beats(shape, elements, np.random.default_rng(3))
    no_words, no_answers = words[:0], answers[:0]
    with model_of(shape).open() as simulation:
        assert simulation.probe("state_o") == 0
        n_beats = (shape.frame_bytes - 4) // 3
        for part, some in ((words[:3], 4), (words[3:-1], n_beats - 4)):  # first 12 bytes, of which none stays behind
            simulation.run({"mm2s": part, "embedding": no_answers}, {"pixels": some, "s2mm": 0})
            assert simulation.probe("state_o") == 1
        # The last element waits for the frame's last pixel, which says whether the batch ends with it.
        with pytest.raises(SimulationError, match="output s2mm did 23 of 24 beats"):
            simulation.run({"mm2s": no_words, "embedding": answers}, {"pixels": 0, "s2mm": 24}, watchdog=300)
        run = simulation.run({"mm2s": words[-1:], "embedding": no_answers}, {"pixels": 16 - n_beats, "s2mm": 1})
        np.testing.assert_array_equal(run.outputs["s2mm"], results[-1:])  # with the end of the second batch
        assert (simulation.probe("state_o"), simulation.probe("frames_o")) == (0, 1)
        simulation.run({"mm2s": words, "embedding": no_answers}, {"pixels": 16, "s2mm": 0})
        assert simulation.probe("state_o") == 2
        simulation.reset()
        assert (simulation.probe("state_o"), simulation.probe("frames_o")) == (0, 0)


def test_no_more_frames_go_in_than_the_queue_of_ends_holds() -> None:
    shape = replace(GEOMETRIES[0], frames=4)
    batches, _ = draw(shape, [9 * shape.frame_bytes], 1)
    nothing = np.zeros((0, 2), np.uint32)
    with model_of(shape).open() as simulation, pytest.raises(SimulationError, match="output pixels did ") as stuck:
        simulation.run({"mm2s": to_words(batches), "embedding": nothing}, {"pixels": 9 * 16, "s2mm": 0}, watchdog=300)
    done = int(str(stuck.value).split("output pixels did ")[1].split()[0])
    assert done == 6 * 16 - 1  # five are in the queue, the sixth waits with its last beat


@pytest.mark.parametrize(
    ("change", "python", "verilog"),
    [
        ({"in_bytes": 5}, "frame_bytes 48 is not a multiple of in_bytes 5", "FRAME_BYTES 48 is not a multiple"),
        ({"pe": 5, "out_bits": 90}, "elements 24 is not a multiple of pe 5", "ELEMENTS 24 is not a multiple of PE 5"),
        ({"out_width": 33, "out_bits": 99}, "1 to 32 bits", "OUT_WIDTH 33 is not in 1 to 32"),
        ({"out_bits": 53}, "out_bits 53 is below pe x out_width, 54", "OUT_BITS 53 is below PE x OUT_WIDTH, 54"),
        ({"frames": 1}, "expected 2 or more, got 1", "DEPTH 1 is below 2"),
    ],
)
def test_what_cannot_be_is_refused_on_both_sides(change: dict[str, int], python: str, verilog: str) -> None:
    with pytest.raises(ShellError, match=python):
        replace(GEOMETRIES[0], **change)
    parameters = GEOMETRIES[0].parameters | {name.upper(): value for name, value in change.items()}
    with pytest.raises(BuildError, match=verilog):
        build("sc_dma_shell", SOURCES, parameters)
