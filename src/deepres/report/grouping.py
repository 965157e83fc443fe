"""Which runs may be pooled, and which compared: those that are alike in all but the seed, or in all
but network and seed."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from deepres.report.runs import OUTCOMES, Run
from deepres.report.samples import Runs
from deepres.report.untrained import AT_INITIALISATION, Untrained
from deepres.run_places import comes_with_deepres

PAPER_LENGTH = "paper-length"
ONE_LAYER = "one-layer"
"""Sets residual networks apart whose residual functions have one layer."""
COMPARED = frozenset({"residual_layers"})
"""Fields of the recipe whose values make networks of their own."""


def comparable(runs: Iterable[Run]) -> list[Runs]:
    """Group ``runs`` by what must be the same in a comparison.

    That is length, recipe, data, and how many images BN sees at once. In each group they lie by
    network, one run for each seed; the paper's are first, and of these the largest group.
    """
    groups: dict[tuple[str, str, tuple[int, ...]], dict[str, list[Run]]] = {}
    for run in sorted(runs, key=distance_from_paper):
        # Two data sets may have one name.
        alike = run.condition_but(COMPARED), run.meta["data"]["fingerprint"], run.bn_images
        groups.setdefault(alike, {}).setdefault(network_of(run), []).append(run)
    found = [
        {name: _once_a_seed(_of_one_start(same)) for name, same in group.items()}
        for group in groups.values()
    ]
    papers = [group for group in found if nearest(group).is_papers]
    others = [group for group in found if not nearest(group).is_papers]
    return [*sorted(papers, key=lambda group: -sum(map(len, group.values()))), *others]


def poolable(runs: Iterable[Run]) -> list[list[Run]]:
    """Group runs by network, condition, data, BN's images and start, one run for each seed.

    The paper's are first, then whole recipes on the paper's data, then the longest. Groups that
    would be called alike are set ``apart`` by words, all but the largest of the paper's runs.
    """
    named: dict[tuple[str, str], dict[tuple[str, ...], list[Run]]] = {}
    for run in sorted(runs, key=distance_from_paper):
        groups = named.setdefault((network_of(run), run.condition), {})
        groups.setdefault(_unnamed(run), []).append(run)
    return [group for groups in named.values() for group in _told_apart(groups)]


def _unnamed(run: Run) -> tuple[str, ...]:
    """Return what sets runs apart and is no part of the condition, each in words."""
    # Two data sets may have one name.
    data = f"data {run.meta['data']['fingerprint'][:8]}"
    return data, bn_in_words(run), f"begun from weights {_start(run)[:8]}…"


def _start(run: Run) -> str:
    """Return the digest of the weights that a run began from; nothing: they were random."""
    return str((run.meta.get("initial_weights") or {}).get("sha256", ""))


def _of_one_start(runs: Sequence[Run]) -> list[Run]:
    """Return those of a network's runs that began from the same weights, the most there are."""
    by_start: dict[str, list[Run]] = {}
    for run in runs:
        by_start.setdefault(_start(run), []).append(run)
    return max(by_start.values(), key=lambda same: len({run.meta["seed"] for run in same}))


def _told_apart(groups: Mapping[tuple[str, ...], Sequence[Run]]) -> list[list[Run]]:
    """Return groups that are called alike, the largest first, as ones that are not."""
    found = [(words, _once_a_seed(same)) for words, same in groups.items()]
    found.sort(key=lambda each: -sum(run.result is not None for run in each[1]))
    differs = [len({*words}) > 1 for words in zip(*groups, strict=True)]
    told: list[list[Run]] = []
    for words, same in found:
        apart = ", ".join(itertools.compress(words, differs))
        as_they_are = not apart or (not told and same[0].is_papers)
        told.append(same if as_they_are else [replace(run, apart=apart) for run in same])
    return told


def distinct(runs: Iterable[Run]) -> list[Run]:
    """Leave out copies of finished runs: the same training, which took the same time."""
    found: dict[object, Run] = {}
    for run in runs:
        found.setdefault(_training(run) if run.result else run.path, run)
    return list(found.values())


def _training(run: Run) -> str:
    """Return what no two trainings have in common."""
    assert run.result is not None
    began = [run.meta[key] for key in ("recipe", "seed", "provenance")]
    ended = [run.result.get(key) for key in ("training_s", *OUTCOMES)]
    return json.dumps([began, run.meta["data"]["fingerprint"], ended, run.altered], sort_keys=True)


def _once_a_seed(runs: Iterable[Run]) -> list[Run]:
    """Return the first run of each seed, in the order of seeds."""
    by_seed: dict[int, Run] = {}
    for run in runs:
        by_seed.setdefault(int(run.meta["seed"]), run)
    return [by_seed[seed] for seed in sorted(by_seed)]


def distance_from_paper(run: Run) -> tuple[bool, bool, int, str, bool, bool, int]:
    """A key to sort by; of two runs alike, a finished one, the user's, the further comes first."""
    unfinished = run.result is None
    return (
        not run.is_papers,
        run.has_foreign_data,
        -run.steps,
        run.condition,
        unfinished,
        comes_with_deepres(run.path),
        -run.last_step,
    )


def nearest(group: Runs) -> Run:
    """Return one of the runs that are nearest to the paper's."""
    return next(iter(group.values()))[0]


def network_of(run: Run) -> str:
    """Return the run's network, with what tells several apart: the option, or the data."""
    if not run.is_classifier:
        return run.on_data
    several = run.model == "resnet34" and run.shortcut != "A"
    option = [run.shortcut or ""] if several else []
    if run.meta["recipe"].get("residual_layers") == 1:
        option.append(ONE_LAYER)
    return " ".join([run.model, *option])


def what_it_is(run: Run) -> str:
    """Say at which length a run stands, and what else sets it apart from the paper's."""
    if isinstance(run, Untrained):
        return ", ".join(filter(None, [AT_INITIALISATION, run.condition]))
    if run.is_papers:
        said = PAPER_LENGTH
    elif run.is_fine_tuned:
        said = run.condition
    elif run.steps < run.papers_steps:
        said = f"shortened: {run.condition}"
    elif run.steps > run.papers_steps:
        said = f"lengthened: {run.condition}"
    else:
        said = f"full length, but {run.condition}"
    return f"{said}, {bn_in_words(run)}" if splits_batches(run) else said


def splits_batches(run: Run) -> bool:
    """Tell whether BN sees less than a whole batch at once."""
    return any(count != run.meta["recipe"]["batch_size"] for count in run.bn_images)


def bn_in_words(run: Run) -> str:
    """Say over how many images BN took its statistics: "BN over 32 images"."""
    return f"BN over {', then '.join(map(str, run.bn_images))} images"
