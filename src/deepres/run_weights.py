"""Where the weights of a run are, and which command makes them."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from deepres.errors import UserError, no_such
from deepres.kinds import kind_of
from deepres.run_folder import RunFolder

WEIGHTS = "model.safetensors"


def weights_file(path: Path) -> Path:
    """Return the weight file that ``path`` is, or that the run in the folder ``path`` has.

    Raises:
        UserError: there is none.
    """
    file = path / WEIGHTS if path.is_dir() else path
    if not path.exists():
        raise UserError(
            no_such("file or folder", path, "give a run's folder or a .safetensors file")
        )
    if not file.exists():
        if not RunFolder(path).recipe.exists():
            raise UserError(f"{path} is no run: it has neither recipe.json nor {WEIGHTS}")
        train = kind_of(RunFolder(path).read_meta()["recipe"]).train
        raise UserError(
            f"{path} has no {file.name} yet; finish it: {train} --resume {quote(str(path))}"
        )
    return file


def run_of(weights: Path) -> RunFolder | None:
    """Return the run whose final weights these are; None: they are of none.

    Args:
        weights: a run's folder or a file of weights.

    Raises:
        UserError: there are none.
    """
    return run_beside(weights) if weights_file(weights).name == WEIGHTS else None


def run_beside(weights: Path) -> RunFolder | None:
    """Return the run in whose folder weights lie, which need not be its own; None: in none's.

    Its data are what they are tested on, if nobody says.

    Raises:
        UserError: there are no such weights.
    """
    folder = RunFolder(weights_file(weights).parent)
    return folder if folder.recipe.exists() else None


def called_together(weights: Sequence[Path]) -> list[str]:
    """Return what notes beside the first of several weights call each of them.

    A run beside the first one's is called by its folder. Others have so many folders before it, one
    at least, as tell them from all others; so have files that are no run's final weights.

    Raises:
        UserError: there are no such weights.
    """
    files = [weights_file(each) for each in weights]
    folders = [file.parent.resolve() for file in files]
    ways = [
        (*folder.parts[1:], *([] if file.name == WEIGHTS else [file.name]))
        for file, folder in zip(files, folders, strict=True)
    ]
    return [
        folder.name
        if file.name == WEIGHTS and folder.parent == folders[0].parent
        else "/".join(_least_ending(way, ways))
        for file, folder, way in zip(files, folders, ways, strict=True)
    ]


def _least_ending(way: tuple[str, ...], ways: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the last two names of ``way``, or more if another ends in those."""
    return next(
        way[-count:]
        for count in range(2, len(way) + 2)
        if not any(other != way and other[-count:] == way[-count:] for other in ways)
    )
