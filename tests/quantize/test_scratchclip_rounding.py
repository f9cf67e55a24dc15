"""ScratchCLIP rounded after training: the network whose accuracy is told computes with the integers that are priced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from spikeclip_fpga.model.attention import split_heads
from spikeclip_fpga.model.baselines.scratchclip import ScratchCLIP
from spikeclip_fpga.model.config import ConfigError, ModelConfig
from spikeclip_fpga.model.train import embed_images
from spikeclip_fpga.quantize.baselines.integer_layer import IntegerLayer, as_map, watch
from spikeclip_fpga.quantize.baselines.integer_layers import integer_layers
from spikeclip_fpga.quantize.baselines.scratchclip_layers import scratchclip_layers
from spikeclip_fpga.quantize.baselines.scratchclip_rounded import rounded
from spikeclip_fpga.quantize.baselines.scratchclip_rounding import Grid, Rounding, calibrate, weight_levels
from spikeclip_fpga.quantize.qat import fold

from .lively import lively

SMALL = ModelConfig(preset="test", conv_channels=(4, 6, 8), depth=2, heads=2, embed_dim=6)
PIXELS = "tokenizer.stages.0.conv"
HEADS, WIDTH = SMALL.heads, SMALL.dim // SMALL.heads


@pytest.fixture(scope="module")
def net() -> ScratchCLIP:
    return lively(ScratchCLIP, SMALL)


@pytest.fixture(scope="module")
def rounding(net: ScratchCLIP, images: Any) -> Rounding:
    return calibrate(net, images(16))


def path_of(layer: str) -> str:
    """Return the module of a layer that has weights."""
    kind, _, rest = layer.partition(".")
    return f"tokenizer.stages.{rest}.conv" if kind == "tokenizer" else layer


def named(net: ScratchCLIP, pictures: np.ndarray, rounding: Rounding) -> dict[str, IntegerLayer]:
    return {layer.name: layer for layer in scratchclip_layers(net, pictures, rounding)}


def test_ranges_are_the_largest_magnitudes_of_the_calibration(
    net: ScratchCLIP, rounding: Rounding, images: Any
) -> None:
    entered, left = watch(net, images(16))
    assert rounding.entering[PIXELS] == Grid(1 / 128, -128, 127)
    assert len(rounding.entering) == 3 + 2 * 6 + 1 and len(rounding.leaving) == 2 * 4
    for grids, values in ((rounding.entering, entered), (rounding.leaving, left)):
        for name, grid in grids.items():
            if name != PIXELS:
                assert grid.scale * grid.high == pytest.approx(float(values[name].abs().max()), rel=1e-6)
                signed = "stages" not in name and "softmax" not in name
                assert (grid.low, grid.high) == ((-127, 127) if signed else (0, 255))


def test_each_layer_is_fed_the_integers_that_are_priced(net: ScratchCLIP, rounding: Rounding, images: Any) -> None:
    """Divided by the scale, what enters a layer of the rounded network is the hardware's integers; so are weights."""
    pictures = images(5, seed=1)
    made = rounded(net, rounding)
    entered, left = watch(made, pictures)

    def integers(values: torch.Tensor, grid: Grid) -> np.ndarray:
        found = as_map(values, SMALL).double() / grid.scale
        assert float((found - found.round()).abs().max()) < 1e-3
        return found.round().long().numpy()

    seen = set()
    for layer in scratchclip_layers(net, pictures, rounding):
        seen.add(layer.op)
        if layer.weight is not None:
            path = path_of(layer.name)
            np.testing.assert_array_equal(integers(entered[path], rounding.entering[path]), layer.inputs)
            module: Any = made.get_submodule(path)
            weight = module.weight if layer.op == "conv" else module.weight[:, :, None, None]
            priced = torch.from_numpy(layer.weight).permute(0, 3, 1, 2)
            worth = weight / weight_levels(weight, 8)[1]
            assert torch.equal(worth.round(), priced.float()) and float((worth - worth.round()).abs().max()) < 1e-3
            assert int(priced.abs().max()) == 127
            continue
        assert layer.operand is not None
        attention, _, product = layer.name.rpartition(".")
        first, second = ("q", "k") if product == "qk" else ("softmax", "v")
        factor = left[f"{attention}.{first}"]
        factor = factor if first == "q" else factor.transpose(1, 2).flatten(2)
        np.testing.assert_array_equal(integers(factor, rounding.leaving[f"{attention}.{first}"]), layer.inputs)
        operand = integers(left[f"{attention}.{second}"], rounding.leaving[f"{attention}.{second}"])
        np.testing.assert_array_equal(operand, layer.operand)
    assert seen == {"conv", "linear", "attention_qk", "attention_av"}


def test_the_integers_of_a_layer_give_the_next_ones(net: ScratchCLIP, rounding: Rounding, images: Any) -> None:
    """Computed here from integers, weights and scales alone; sums in another order may round another way."""
    pictures = images(8, seed=1)
    layers = named(net, pictures, rounding)

    def same(found: torch.Tensor, grid: Grid, expected: np.ndarray) -> None:
        wanted = torch.from_numpy(expected.astype(np.int64)).reshape(found.shape)
        off = (grid.levels(found.float()).long() - wanted).abs()
        assert int(off.max()) <= 1 and float((off > 0).double().mean()) < 0.005
        assert len(wanted.unique()) > 20

    def out(name: str) -> torch.Tensor:
        """Return (N, O, H, W): sums of products of the integers, times the scales, plus the bias."""
        layer, module = layers[name], net.get_submodule(path_of(name))
        weight, bias = module.weight, module.bias
        if layer.op == "conv":
            weight, bias = fold(module.weight, net.get_submodule(path_of(name).replace("conv", "bn")))
        scale = weight.detach().flatten(1).abs().amax(1) / 127 * rounding.entering[path_of(name)].scale
        assert layer.weight is not None
        given, kernel = (torch.from_numpy(x).permute(0, 3, 1, 2).double() for x in (layer.inputs, layer.weight))
        return F.conv2d(given, kernel, padding=layer.pad) * scale.view(-1, 1, 1) + bias.detach().view(-1, 1, 1)

    def tokens(name: str) -> torch.Tensor:
        return out(name).flatten(2).transpose(1, 2)  # (N, tokens, O)

    for i in (0, 1):
        found, pool = out(f"tokenizer.{i}"), net.tokenizer.stages[i].pool
        found = (found if pool is None else pool(found)).relu()
        grid = rounding.entering[path_of(f"tokenizer.{i + 1}")]
        same(found.permute(0, 2, 3, 1), grid, layers[f"tokenizer.{i + 1}"].inputs)
    for block in ("blocks.0", "blocks.1"):
        name = f"{block}.attention"
        grids = {part: rounding.leaving[f"{name}.{part}"] for part in ("q", "k", "v", "softmax")}
        first, second = layers[f"{name}.qk"], layers[f"{name}.av"]
        assert first.operand is not None and second.operand is not None
        factors = {"q": first.inputs, "k": first.operand, "v": second.operand}
        for part, expected in factors.items():
            same(tokens(f"{name}.{part}"), grids[part], expected)
        flat = {p: torch.from_numpy(x).double().flatten(1, 2) * grids[p].scale for p, x in factors.items()}
        q, k, v = (split_heads(flat[part], HEADS) for part in "qkv")
        weights = (q @ k.transpose(-1, -2) * WIDTH**-0.5).softmax(-1)
        same(weights.transpose(1, 2).flatten(2), grids["softmax"], second.inputs)
        kept = split_heads(torch.from_numpy(second.inputs).double().flatten(1, 2), HEADS) * grids["softmax"].scale
        same((kept @ v).transpose(1, 2).flatten(2), rounding.entering[f"{name}.proj"], layers[f"{name}.proj"].inputs)
        fc2 = f"{block}.mlp.fc2"
        same(F.gelu(tokens(f"{block}.mlp.fc1")), rounding.entering[fc2], layers[fc2].inputs)
    embeddings = embed_images(rounded(net, rounding), pictures)
    np.testing.assert_allclose(out("readout.project").flatten(1).numpy(), embeddings, rtol=1e-4, atol=1e-5)


def test_what_is_brighter_than_the_calibration_saturates(net: ScratchCLIP, images: Any) -> None:
    bright = images(4)
    pale = (128 + (bright.astype(int) - 128) // 8).astype(np.uint8)  # close to the grey that is worth 0
    rounding = calibrate(net, pale)
    entered, _ = watch(net, bright)
    layers = named(net, bright, rounding)
    grid = rounding.entering["tokenizer.stages.1.conv"]
    beyond = as_map(entered["tokenizer.stages.1.conv"], SMALL).numpy() > 255.5 * grid.scale
    # Behind rounded weights: what is far beyond, not what is just so.
    assert beyond.mean() > 0.01
    far = as_map(entered["tokenizer.stages.1.conv"], SMALL).numpy() > 300 * grid.scale
    assert far.any() and (layers["tokenizer.1"].inputs[far] == 255).all()
    assert layers["tokenizer.1"].inputs.max() == 255
    np.testing.assert_array_equal(layers["tokenizer.0"].inputs, bright.astype(int) - 128)
    ends = torch.tensor([-9.0, -0.6, 0.4, 0.6, 9.0])
    assert Grid(0.5, -7, 7).levels(ends).tolist() == [-7, -1, 1, 1, 7]
    assert Grid(0.5, 0, 7).nearest(ends).tolist() == [0, 0, 0.5, 0.5, 3.5]


def test_more_bits_are_nearer_to_the_float_network_and_two_bits_are_not(net: ScratchCLIP, images: Any) -> None:
    pictures = images(200, seed=2)
    captions = np.random.default_rng(0).standard_normal((10, SMALL.embed_dim))
    captions /= np.linalg.norm(captions, axis=1, keepdims=True)
    exact = embed_images(net, pictures)
    error, agree = {}, {}
    for bits in (2, 8, 16):
        found = embed_images(rounded(net, calibrate(net, pictures, bits)), pictures)
        error[bits] = float(np.abs(found - exact).max() / np.abs(exact).max())
        agree[bits] = float(((found @ captions.T).argmax(1) == (exact @ captions.T).argmax(1)).mean())
    assert error[16] < 1e-3 and 20 * error[16] < error[8] < 0.1 < error[2]
    assert agree[16] >= 0.99 > agree[2]
    # The network that was given is as it was.
    np.testing.assert_array_equal(embed_images(net, pictures), exact)


def test_layers_take_the_rounding_they_are_given(net: ScratchCLIP, rounding: Rounding, images: Any) -> None:
    pictures = images(3, seed=4)
    for given, grids in ((rounding, rounding), (None, calibrate(net, pictures))):
        for found, expected in zip(
            integer_layers(net, pictures, given), scratchclip_layers(net, pictures, grids), strict=True
        ):
            assert found.name == expected.name
            np.testing.assert_array_equal(found.inputs, expected.inputs)
    with pytest.raises(ConfigError, match="expected 8 bits, got 16; calibrate with 8"):
        integer_layers(net, pictures, calibrate(net, pictures, 16))
