"""Table 1 and §4.2's table of CIFAR-10 networks, from plain rows that describe the networks."""

from collections.abc import Mapping, Sequence

from deepres.report.names import title
from deepres.report.published import MULTIPLY_ADDS_G
from deepres.report.render import Table

Stage = tuple[str, str, str, int]
"""A stage's name, output ("56×56"), composition ("[3×3, 64; 3×3, 64]×2") and multiply-adds."""
BlockCost = tuple[str, int, int, int, int]
"""A block or network; weights and multiply-adds with identity shortcuts, and with projections."""
MapSize = tuple[str, int, int]
"""The size of an output map ("32×32"), the number of layers with it, and that of their filters."""


def table1(networks: Mapping[str, Sequence[Stage]]) -> Table:
    """Return §3.3's architectures, a column for each network, and what they cost."""
    stages = {name: output for rows in networks.values() for name, output, _, _ in rows}
    parts = {
        network: {name: composition for name, _, composition, _ in rows}
        for network, rows in networks.items()
    }
    body = [
        [name, output, *(parts[network].get(name, "–") for network in networks)]
        for name, output in stages.items()
    ]
    ours = [sum(cost for *_, cost in rows) / 1e9 for rows in networks.values()]
    papers = [MULTIPLY_ADDS_G.get(network) for network in networks]
    body.append(["multiply-adds, 10⁹", "published", *(f"{g:.1f}" if g else "–" for g in papers)])
    body.append(["multiply-adds, 10⁹", "ours", *(f"{g:.2f}" for g in ours)])
    columns = ["stage", "output", *map(title, networks)]
    return Table("Table 1: architectures for ImageNet", columns, body)


def cifar_architecture(networks: Mapping[str, Sequence[MapSize]]) -> Table:
    """Return §4.2's table of map sizes, layers and filters, and the same of each network."""
    body = [
        ["layers, published", "1+2n", "2n", "2n"],
        ["filters, published", "16", "32", "64"],
    ]
    for network, rows in networks.items():
        body.append([f"layers of {title(network)}", *(str(layers) for _, layers, _ in rows)])
        body.append([f"filters of {title(network)}", *(str(filters) for _, _, filters in rows)])
    sizes = [size for size, _, _ in next(iter(networks.values()), ())] or ["32×32", "16×16", "8×8"]
    columns = ["output map size", *sizes]
    name = "Architecture for CIFAR-10 (§4.2)"
    note = "The fully connected layer at the end is the last of 6n+2."
    return Table(name, columns, body, [note], frozenset({1, 2, 3}))


def shortcut_costs(costs: Sequence[BlockCost]) -> Table:
    """Return what projections cost in place of identity shortcuts (§3.3, §4.1)."""
    body = [
        [
            name,
            f"{weights:,}",
            f"{projected:,}",
            f"{projected / weights:.2f}",
            f"{adds / 1e6:,.1f}",
            f"{with_more / 1e6:,.1f}",
            f"{with_more / adds:.2f}",
        ]
        for name, weights, projected, adds, with_more in costs
    ]
    sides = ("identity", "projection", "ratio")
    columns = ["", *(f"{what}, {side}" for what in ("weights", "10⁶ mult.-adds") for side in sides)]
    notes = [
        "Weights of convolutions and fully connected layers, without BN. Blocks keep their "
        "dimensions; of networks, identity is option A and projection option C.",
        "§4.1: with projections in place of identities the cost and size of a bottleneck are "
        "doubled.",
    ]
    name = "The cost of shortcuts: identity against projection"
    return Table(name, columns, body, notes, frozenset(range(1, len(columns))))
