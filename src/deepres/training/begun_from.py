"""The weights that a run began from: noted in its recipe.json, and found again."""

from pathlib import Path
from typing import Any

from deepres.errors import UserError
from deepres.files import file_digest
from deepres.run_weights import weights_file


def origin(weights: Path) -> dict[str, str]:
    """Return what recipe.json says of weights that a run begins from: their file and its digest.

    Args:
        weights: the file, or the folder of the run that has it.

    Raises:
        UserError: there is none.
    """
    file = weights_file(weights)
    return {"file": str(file.resolve()), "sha256": file_digest(file)}


def found_again(
    noted: dict[str, Any],
    place: Path | None = None,
    *,
    whose: object = "the run",
    advice: str = "put those back, or start a new run in another folder",
) -> Path:
    """Return the weights of which recipe.json says what ``origin`` returned.

    Args:
        noted: what it says.
        place: the file, or the folder of the run that has it, by now; None: where it was.
        whose: what began from them.
        advice: what to do if they are not there.

    Raises:
        UserError: they are not there, or are others.
    """
    place = place or Path(noted["file"])
    if not place.exists():
        raise UserError(
            f"{whose} began from weights that are not here: {place} (sha256 {noted['sha256']}); "
            f"{advice}"
        )
    file = weights_file(place)
    if (now := origin(file)["sha256"]) != noted["sha256"]:
        raise UserError(
            f"{whose} began from weights with sha256 {noted['sha256']}, but {file} has {now}; "
            f"{advice}"
        )
    return file


def without_folders(noted: dict[str, Any]) -> dict[str, Any]:
    """Return what is noted of a run, for files that are passed on: folders are its maker's.

    Of the weights that it began from the last two names stay, a run's and its file's.
    """
    begun_from = {
        name: {**noted[name], "file": str(Path(*Path(noted[name]["file"]).parts[-2:]))}
        for name in ("initial_weights", "rpn")
        if noted.get(name)
    }
    return {**noted, **begun_from}
