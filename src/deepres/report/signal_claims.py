"""What the paper claims of the signals in plain networks; what we check in CIFAR-10's."""

from deepres.report.claim import Claim
from deepres.report.comparisons import Above
from deepres.report.measures import FORWARD, STRONGEST_GRADIENT, WEAKEST_GRADIENT

FACTOR = 1_000
"""A signal that falls to less than 1/FACTOR of what it was has vanished; above it, exploded."""


def _healthy(*networks: str) -> tuple[Above, ...]:
    limits = ((FORWARD, 1 / FACTOR), (WEAKEST_GRADIENT, 1 / FACTOR))
    return tuple(
        comparison
        for network in networks
        for comparison in (
            *(Above(measure, (network, limit)) for measure, limit in limits),
            Above(STRONGEST_GRADIENT, (FACTOR, network)),
        )
    )


CIFAR, IMAGENET = _healthy("plain20", "plain56"), _healthy("plain34")
AT_FIRST = (
    "At initialisation neither forward nor backward signals vanish in {networks}, and gradients "
    "have healthy norms: none is below 1/1000 of where it set out, and no gradient above 1000 "
    "times that (the limits are ours{more})."
)
TRAINED = (
    "In {networks}, trained, neither forward nor backward signals vanish, and gradients have "
    "healthy norms, by the same limits{more}."
)

SIGNAL_CLAIMS = (
    Claim(
        "plain34-signals-are-healthy-at-first",
        "Signals are healthy in plain-34 at first",
        "§4.1",
        AT_FIRST.format(networks="plain-34", more=""),
        IMAGENET,
        untrained=True,
    ),
    Claim(
        "plain34-signals-do-not-vanish",
        "Signals are healthy in plain-34 once trained",
        "§4.1",
        TRAINED.format(networks="plain-34", more=""),
        IMAGENET,
    ),
    Claim(
        "signals-are-healthy-at-first",
        "Signals are healthy in CIFAR-10's plain nets at first",
        "§4.1",
        AT_FIRST.format(networks="CIFAR-10's plain nets", more=", and so are the networks"),
        CIFAR,
        untrained=True,
        ours=True,
    ),
    Claim(
        "signals-do-not-vanish",
        "Signals are healthy in CIFAR-10's plain nets once trained",
        "§4.1",
        TRAINED.format(networks="CIFAR-10's plain nets", more=" (the networks are ours)"),
        CIFAR,
        ours=True,
    ),
)
