"""The commands that bring about the runs and measurements that a claim of the paper needs."""

import itertools
from collections.abc import Mapping, Sequence
from shlex import quote

from deepres.report.claim import Claim
from deepres.report.detection_tables import UNTESTED, detection_command
from deepres.report.grouping import COMPARED, ONE_LAYER, comparable, network_of, splits_batches
from deepres.report.judging import SEEDS
from deepres.report.measures import FORWARD, RESPONSE, TOP1_10_CROP, TOP5_MULTI_SCALE
from deepres.report.names import papers_detector
from deepres.report.published import TABLE_2, TABLE_3
from deepres.report.published_detection import TABLE_7, TABLE_8
from deepres.report.rows import NO_RUN
from deepres.report.runs import Run
from deepres.report.samples import Runs

IMAGENET = {row.network for row in (*TABLE_2, *TABLE_3) if row.network}


def commands_for(claim: Claim, runs: Sequence[Run]) -> list[str]:
    """Return the commands, one a line, for what ``runs`` lack to judge ``claim`` as the paper's.

    Of networks that are trained already, by enough seeds, only the measurement is asked for.
    """
    if claim.untrained:
        # As many images as those of the networks that come with deepres.
        of_imagenet = IMAGENET.issuperset(claim.networks)
        options = " --images 32 --data IMAGENET" if of_imagenet else ""
        networks = " ".join(claim.networks)
        return [f"deepres signals {networks} --seed {seed}{options}" for seed in range(SEEDS)]
    papers = [run for run in runs if not run.condition_but(COMPARED)]
    there = _there(claim, papers)
    detectors = {
        papers_detector(row.network, row.test.dataset): row
        for row in (*TABLE_7, *TABLE_8)
        if row.network
    }
    commands = [
        detection_command(detectors[network], UNTESTED if network in there else NO_RUN)
        for network in claim.networks
        if network in detectors
    ]
    missing = {
        network: SEEDS - len(there.get(network, ()))
        for network in claim.networks
        if network not in detectors and len(there.get(network, ())) < SEEDS
    }
    commands += _train({name: _seeds(name, count, papers) for name, count in missing.items()})
    folders = " ".join(
        folder
        for network in claim.networks
        for folder in _folders(network, there.get(network, ()), network in missing)
    )
    measures = {comparison.measure for comparison in claim.comparisons}
    if RESPONSE in measures:
        commands.append(f"deepres responses {folders}")
    if FORWARD in measures:
        commands.append(f"deepres signals {folders}")
    for measure, views in ((TOP1_10_CROP, "10-crop"), (TOP5_MULTI_SCALE, "multi-scale")):
        if measure in measures:
            commands.append(f"deepres evaluate RUN --views {views}")
    return commands


def _there(claim: Claim, papers: Sequence[Run]) -> Runs:
    """Return the finished runs that those of the commands can be compared with, by network."""
    finished = [run for run in papers if run.result and not splits_batches(run)]
    groups = comparable(finished)
    return max(
        groups, key=lambda group: sum(len(group.get(n, ())) for n in claim.networks), default={}
    )


def _seeds(network: str, count: int, papers: Sequence[Run]) -> str:
    """Return the option for the first ``count`` seeds in a row that no run of a network has."""
    taken = {run.meta["seed"] for run in papers if network_of(run) == network}
    first = next(s for s in itertools.count() if taken.isdisjoint(range(s, s + count)))
    return f"--seeds {count}" + (f" --seed {first}" if first else "")


def _folders(network: str, there: Sequence[Run], is_missing: bool) -> list[str]:
    """Return where a network's runs lie, or will."""
    found = [quote(f"{run.path.parent.name}/{run.name}") for run in there]
    if not is_missing:
        return found
    return [*(each for each in found if not each.startswith("runs/")), f"runs/{network}-s*"]


def _train(networks: Mapping[str, str]) -> list[str]:
    """Return the commands that train networks, one for all that one command can train.

    Args:
        networks: the option for its seeds, by network.
    """
    together: dict[str, list[str]] = {}
    for network in sorted(networks, key=lambda name: (" " in name, len(name), name)):
        name, _, option = network.partition(" ")
        options = networks[network]
        if option == ONE_LAYER:
            options += " --set residual_layers=1"
        elif option:  # Table 3's
            options += f" --set shortcut={option}"
        if name in IMAGENET:
            options += " --data IMAGENET"
        together.setdefault(options, []).append(name)
    return [f"deepres train {' '.join(names)} {options}" for options, names in together.items()]
