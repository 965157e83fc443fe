"""The evaluations.json of a run's folder: what its tests have found after training."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from deepres.errors import UserError
from deepres.files import read_json, write_json
from deepres.json_shape import misfit
from deepres.run_contents import checked
from deepres.run_folder import EVALUATIONS


def noted(run: Path) -> list[dict[str, Any]]:
    """Return what is noted in the folder of a run. Ask before a test, for it may take hours.

    Raises:
        UserError: it is damaged.
    """
    path = run / EVALUATIONS
    if not path.exists():
        return []
    entries: list[dict[str, Any]] = checked(path, read_json(path), partial(misfit, shape=[dict]))
    return entries


def note(run: Path, entry: dict[str, Any], same: Sequence[str]) -> None:
    """Add ``entry`` to the evaluations.json of the run's folder.

    An entry of the same test is replaced. A folder that cannot be written to is left as it is.

    Args:
        run: the folder.
        entry: what was found, and by which test.
        same: the fields that two entries of the same test have in common.
    """
    with suppress(UserError):
        kept = [each for each in noted(run) if any(each.get(k) != entry.get(k) for k in same)]
        write_json(run / EVALUATIONS, [*kept, entry])
