"""The commands that bring about the runs and measurements that a claim of the paper needs."""

from collections.abc import Sequence
from shlex import quote

from deepres.report.claim import Claim
from deepres.report.detection_tables import UNTESTED, detection_command
from deepres.report.grouping import COMPARED, ONE_LAYER, network_of
from deepres.report.judging import SEEDS
from deepres.report.measures import FORWARD, RESPONSE, TOP1_10_CROP, TOP5_MULTI_SCALE
from deepres.report.published import TABLE_2, TABLE_3
from deepres.report.published_detection import TABLE_7, TABLE_8
from deepres.report.rows import NO_RUN
from deepres.report.runs import PAPERS_DATA, Run

IMAGENET = {row.network for row in (*TABLE_2, *TABLE_3)}


def commands_for(claim: Claim, runs: Sequence[Run]) -> list[str]:
    """Return the commands, one a line, for what ``runs`` lack to judge ``claim`` as the paper's.

    Of networks that are trained already only the measurement is asked for.
    """
    if claim.untrained:
        data = " --data IMAGENET" if IMAGENET.issuperset(claim.networks) else ""
        networks = " ".join(claim.networks) + data
        return [f"deepres signals {networks} --seed {seed}" for seed in range(SEEDS)]
    papers = {
        network_of(run): run for run in runs if run.result and not run.condition_but(COMPARED)
    }
    missing = [network for network in claim.networks if network not in papers]
    detectors = {
        f"{row.network} detector on {PAPERS_DATA[row.test.dataset]}": row
        for row in (*TABLE_7, *TABLE_8)
    }
    commands = [
        detection_command(detectors[network], NO_RUN if network in missing else UNTESTED)
        for network in claim.networks
        if network in detectors
    ]
    commands += _train([network for network in missing if network not in detectors])
    folders = [
        quote(f"{papers[name].path.parent.name}/{papers[name].name}")
        if name in papers
        else f"runs/{name}-s*"
        for name in claim.networks
    ]
    measures = {comparison.measure for comparison in claim.comparisons}
    if RESPONSE in measures:
        commands.append(f"deepres responses {' '.join(folders)}")
    if FORWARD in measures:
        commands.append(f"deepres signals {' '.join(folders)}")
    for measure, views in ((TOP1_10_CROP, "10-crop"), (TOP5_MULTI_SCALE, "multi-scale")):
        if measure in measures:
            commands.append(f"deepres evaluate RUN --views {views}")
    return commands


def _train(networks: Sequence[str]) -> list[str]:
    """Return the commands that train ``networks``, one for all that one command can train."""
    alone = [network for network in networks if " " in network]
    plain = sorted(set(networks) - set(alone), key=lambda name: (len(name), name))
    commands = []
    for imagenet, options in ((False, ""), (True, " --data IMAGENET")):
        if names := [name for name in plain if (name in IMAGENET) == imagenet]:
            commands.append(f"deepres train {' '.join(names)} --seeds {SEEDS}{options}")
    for network in alone:
        name, option = network.split()
        if option == ONE_LAYER:
            commands.append(f"deepres train {name} --seeds {SEEDS} --set residual_layers=1")
        else:  # Table 3's
            setting = f"--set shortcut={option} --data IMAGENET"
            commands.append(f"deepres train {name} --seeds {SEEDS} {setting}")
    return commands
