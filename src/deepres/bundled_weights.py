"""Weights that come with deepres: of the runs in ``results/``."""

from pathlib import Path

from deepres.errors import UserError
from deepres.run_folder import RunFolder, results_folder


def bundled_run(name: str) -> Path:
    """Return the folder of the run called ``name``, or of the network's paper-length run.

    Of several seeds it is the lowest, not the best.

    Raises:
        UserError: there is none.
    """
    runs = {path.parent.name: path.parent for path in results_folder().glob("*/model.safetensors")}
    if name in runs:
        return runs[name]
    for run in sorted(runs):
        recipe = RunFolder(runs[run]).read_meta()["recipe"]
        if recipe["model"] == name and not recipe["scaled_from"]:
            return runs[run]
    raise UserError(
        f"deepres has no weights of a paper-length {name}; it has "
        f"{', '.join(sorted(runs)) or 'none at all'}"
    )
