"""The report as text for a terminal."""

from __future__ import annotations

from typing import Any

WIDTH = 34


def table(result: dict[str, Any]) -> str:
    """Return report.report's result as text: theory, its error, memory-aware estimates, the papers' table."""
    parts = [_head(result), _layers(result), _classes(result), _error(result), _memory(result), _compared(result)]
    parts.append(_papers(result))
    return "\n\n".join(parts)


def _head(result: dict[str, Any]) -> str:
    found = result["theory"]
    points = 100 * (found["reduction_summed"] - found["reduction_closed_form"])
    weighting, dense = (100 * found[f"difference_from_{why}"] for why in ("weighting", "dense_layers"))
    every = 100 * found["reduction_summed_first_layer_each_step"]
    return "\n".join(
        [
            f"{result['data_set']}, {result['images']} images, T = {result['timesteps']}: {result['kind']}",
            f"theory: {found['energy_nj'] / 1000:.2f} uJ an image, ANN {found['ann_energy_nj'] / 1000:.2f} uJ; "
            f"{found['sops'] / 1e6:.3f} M SOPs, {found['macs'] / 1e6:.3f} M MACs; "
            f"firing rate {100 * found['firing_rate']:.2f} %",
            f"reduction: closed form (F.5) {100 * found['reduction_closed_form']:.2f} %, "
            f"summed over layers {100 * found['reduction_summed']:.2f} % "
            f"({every:.2f} % with the first layer at every step)",
            f"  the difference, {points:+.2f} points: {weighting:+.2f} large layers' rates, "
            f"{dense:+.2f} layers that stay MACs",
            f"measured: {_measured(result['measured'])}",
        ]
    )


def _layers(result: dict[str, Any]) -> str:
    lines = [f"{'layer':{WIDTH}} {'MMAC/step':>10} {'rate %':>7} {'M ops':>8} {'nJ':>9} {'ANN nJ':>9}"]
    for layer in result["theory"]["layers"]:
        rate = layer["input_firing_rate"]
        shown = "MAC" if rate is None else f"{100 * rate:.2f}"
        lines.append(
            f"{layer['name']:{WIDTH}} {layer['flops'] / 1e6:10.3f} {shown:>7} {layer['operations'] / 1e6:8.3f} "
            f"{layer['energy_nj']:9.1f} {layer['ann_energy_nj']:9.1f}"
        )
    return "\n".join(lines)


def _classes(result: dict[str, Any]) -> str:
    lines = [f"{'class':{WIDTH}} {'images':>7} {'rate %':>7} {'M SOPs':>8} {'uJ':>7} {'F.5 %':>7} {'sum %':>7}"]
    for name, found in result["classes"].items():
        lines.append(
            f"{name:{WIDTH}} {found['images']:7d} {100 * found['firing_rate']:7.2f} {found['sops'] / 1e6:8.3f} "
            f"{found['energy_nj'] / 1000:7.3f} {100 * found['reduction_closed_form']:7.2f} "
            f"{100 * found['reduction_summed']:7.2f}"
        )
    return "\n".join(lines)


def _error(result: dict[str, Any]) -> str:
    found = result["formula_error"]
    lines = [
        f"SOPs an image: formula (F.3) {found['sops_formula']:,.0f}, counted {found['sops_events']:,.0f}: "
        f"{100 * found['relative']:+.3f} %"
    ]
    for layer in found["layers"]:
        if layer["sops_formula"] != layer["sops_events"]:
            lines.append(
                f"  {layer['name']}: {100 * layer['relative']:+.3f} % "
                f"(borders {layer['from_borders']:+,.0f}, where the spikes are {layer['from_positions']:+,.0f})"
            )
    return "\n".join(lines)


def _memory(result: dict[str, Any]) -> str:
    estimates = result["memory_aware"]
    wide = 14

    def line(name: str, values: list[float | None]) -> str:
        return f"{name:{WIDTH}}" + "".join(f"{'-':>{wide}}" if v is None else f"{v / 1000:{wide}.3f}" for v in values)

    lines = [
        f"{'memory-aware, uJ an image':{WIDTH}}" + "".join(f"{found['placement']:>{wide}}" for found in estimates),
        f"{'a datum, or packed':{WIDTH}}" + "".join(f"{found['packing']:>{wide}}" for found in estimates),
    ]
    lines += [line(part, [found["parts_nj"][part] for found in estimates]) for part in estimates[0]["parts_nj"]]
    lines.append(line("total", [found["energy_nj"] for found in estimates]))
    lines.append("by node")
    by_name = [{node["name"]: node["energy_nj"] for node in found["nodes"]} for found in estimates]
    for name in dict.fromkeys(name for nodes in by_name for name in nodes):
        lines.append(line(name, [nodes.get(name) for nodes in by_name]))
    return "\n".join(lines)


def _measured(found: Any) -> str:
    if isinstance(found, str):
        return found
    low, value, high = (found["dynamic"][key] / 1000 for key in ("low_nj", "value_nj", "high_nj"))
    total = found["total"]["value_nj"] / 1000
    return (
        f"{value:,.4g} uJ an image dynamic [{low:,.4g}, {high:,.4g}], {total:,.4g} uJ in all, "
        f"at {found['boundary']}, by {found['sensor']}"
    )


def _compared(result: dict[str, Any]) -> str:
    """Return the rows of all networks and the firing rates at which they would cost the same."""
    found = result["comparison"]
    if not found["break_even"]:
        return f"{found['text']}\nno spikes: no firing rate to break even at"
    heads = "".join(f"{one['against']:>14}" for one in found["break_even"])
    lines = [found["text"], f"{'breaks even at a firing rate, %':66}{heads}"]
    for rows in zip(*(one["rows"] for one in found["break_even"]), strict=True):
        name = f"{rows[0]['estimate']}, {rows[0]['variant']}"
        shown = ("never" if row["rate"] is None else f"{100 * row['rate']:.2f}" for row in rows)
        lines.append(f"  {name:64}" + "".join(f"{text:>14}" for text in shown))
    return "\n".join(lines)


def _papers(result: dict[str, Any]) -> str:
    found = result["papers"]
    lines = [
        "the papers' table by (F.5), percent cut to two digits; G FLOPs a step that their mJ imply; mJ by their shapes",
        f"  {'':14} {'rate':>6} {'paper':>6} {'exact':>8} {'rounded':>8} {'cut':>6}  {'last digit was':15} "
        f"{'G FLOPs':>17} {'mJ':>5} {'shapes':>7}",
    ]
    for row in found["table"]:
        why = [name for name, key in (("rounded", "rounding"), ("cut", "truncation")) if row[f"explained_by_{key}"]]
        low, high = (bound / 1e9 for bound in row["implied_flops"])
        lines.append(
            f"  {row['data_set']:14} {row['firing_rate_percent']:6.2f} {row['published_reduction_percent']:6.2f} "
            f"{row['exact_percent']:8.4f} {row['rounded_percent']:8.2f} {row['truncated_percent']:6.2f}  "
            f"{' or '.join(why) or 'neither':15} {low:8.4f}-{high:8.4f} {row['published_energy_mj']:5.2f} "
            f"{row['energy_by_shapes_mj']:7.3f}"
        )
    theirs, this = found["flops_of_their_network"]["papers"], found["flops_of_this_network"]
    if found["implied_flops"] is None:
        lines.append("  no one operation count explains all their energies")
    else:
        low, high = (bound / 1e9 for bound in found["implied_flops"])
        lines.append(
            f"  one count explains all six: {low:.4f} to {high:.4f} G a step; by shapes their network (preset base) "
            f"has {theirs / 1e9:.4f} G, {low * 1e9 / theirs:.2f} times fewer; the network above {this / 1e9:.4f} G"
        )
    return "\n".join(lines)
