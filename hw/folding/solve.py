"""The cheapest choice per node when neighbours' choices cost together: exact, by eliminating node after node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Array = np.ndarray
_Factor = tuple[tuple[int, ...], Array]


def cheapest(nodes: Sequence[Array], pairs: Mapping[tuple[int, int], Array]) -> tuple[float, list[int]]:
    """Return the least sum and the choice of every node.

    nodes: cost of each choice, (n_i,). pairs: (i, j) -> (n_i, n_j) costs of two choices together. The sum is
    infinite if there is no way, and the choices mean nothing then. Takes n^3 for graphs that part and join
    again like ours, more for denser ones.
    """
    factors: list[_Factor] = [((i,), cost) for i, cost in enumerate(nodes)] + list(pairs.items())
    left = set(range(len(nodes)))
    decided: list[tuple[int, tuple[int, ...], Array]] = []
    total = 0.0
    while left:
        around = {i: sorted({v for names, _ in factors if i in names for v in names} - {i}) for i in left}
        node = min(left, key=lambda i: (len(around[i]), int(np.prod([len(nodes[v]) for v in around[i]])), i))
        left.remove(node)
        order = (node, *around[node])
        touched = [factor for factor in factors if node in factor[0]]
        factors = [factor for factor in factors if node not in factor[0]]
        together = np.zeros([len(nodes[v]) for v in order])
        for names, cost in touched:
            together = together + _spread(names, cost, order)
        decided.append((node, order[1:], together.argmin(0)))
        best = together.min(0)
        if order[1:]:
            factors.append((order[1:], best))
        else:
            total += float(best)
    choice = [0] * len(nodes)
    for node, names, table in reversed(decided):
        choice[node] = int(table[tuple(choice[v] for v in names)])
    return total, choice


def _spread(names: tuple[int, ...], cost: Array, order: tuple[int, ...]) -> Array:
    """Return ``cost`` over axes ``names`` with an axis for each of ``order``."""
    axes = sorted(range(len(names)), key=lambda i: order.index(names[i]))
    shape = [1] * len(order)
    for i in axes:
        shape[order.index(names[i])] = cost.shape[i]
    return cost.transpose(axes).reshape(shape)
