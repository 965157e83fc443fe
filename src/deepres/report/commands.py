"""The commands that bring about the runs and measurements that a claim of the paper needs."""

from collections.abc import Sequence
from shlex import quote

from deepres.report.claims import Claim, network_of
from deepres.report.detection_tables import UNTESTED, detection_command
from deepres.report.measures import BACKWARD, FORWARD, RESPONSE
from deepres.report.published import TABLE_2, TABLE_3
from deepres.report.published_detection import TABLE_7, TABLE_8
from deepres.report.rows import NO_RUN
from deepres.report.runs import PAPERS_DATA, Run

IMAGENET = {row.network for row in (*TABLE_2, *TABLE_3)}
SEEDS = 3
"""So many tell a spread."""


def commands_for(claim: Claim, runs: Sequence[Run]) -> list[str]:
    """Return the commands, one a line, for what ``runs`` lack to judge ``claim`` as the paper's.

    Of networks that are trained already only the measurement is asked for.
    """
    papers = {network_of(run): run for run in runs if run.is_papers and run.result}
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
    if measures & {FORWARD, BACKWARD}:
        commands.append(f"deepres signals {' '.join(folders)}")
    return commands


def _train(networks: Sequence[str]) -> list[str]:
    """Return the commands that train ``networks``, one for all that one command can train."""
    alone = [network for network in networks if " " in network]
    plain = sorted(set(networks) - set(alone), key=lambda name: (len(name), name))
    commands = []
    for imagenet, options in ((False, f" --seeds {SEEDS}"), (True, " --data IMAGENET")):
        if names := [name for name in plain if (name in IMAGENET) == imagenet]:
            commands.append(f"deepres train {' '.join(names)}{options}")
    for network in alone:  # with Table 3's option
        name, option = network.split()
        commands.append(f"deepres train {name} --set shortcut={option} --data IMAGENET")
    return commands
