"""Weights that come with deepres: of the runs in ``results/``."""

from pathlib import Path

from deepres.errors import UserError
from deepres.kinds import kind_of
from deepres.run_folder import RunFolder
from deepres.run_places import results_folder


def bundled_runs() -> dict[str, Path]:
    """Return the folders of the runs whose weights come with deepres, by name."""
    weights = sorted(results_folder().glob("*/model.safetensors"))
    return {file.parent.name: file.parent for file in weights}


def best_bundled_run(network: str) -> Path | None:
    """Return the folder of the run that speaks best for a network; None: there is none.

    One of the paper's recipe and length comes before all others, then the longest. Of several
    seeds it is the lowest: to choose by test error would be to fit the test images.
    """
    ranked = []
    for name, folder in bundled_runs().items():
        meta = RunFolder(folder).read_meta()
        recipe = meta["recipe"]
        # Only a classifier goes by its network's name.
        if recipe["model"] == network and kind_of(recipe).is_classifier:
            of_the_paper = not recipe["scaled_from"] and not meta.get("deviations")
            ranked.append((not of_the_paper, -recipe["steps"], meta.get("seed", 0), name))
    return bundled_runs()[min(ranked)[-1]] if ranked else None


def bundled_run(name: str) -> Path:
    """Return the folder of the run called ``name``, or of the best run of the network ``name``.

    Raises:
        UserError: there is none.
    """
    runs = bundled_runs()
    if run := runs.get(name) or best_bundled_run(name):
        return run
    raise UserError(
        f"no weights of {name} come with deepres; there are {', '.join(runs) or 'none at all'}"
    )
