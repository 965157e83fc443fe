"""The evaluations.json of a run's folder: what its tests have found after training."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepres.errors import UserError
from deepres.files import read_json, write_json
from deepres.run_folder import EVALUATIONS


def note(run: Path, entry: dict[str, Any], same: Sequence[str]) -> None:
    """Add ``entry`` to the evaluations.json of the run's folder.

    An entry of the same test is replaced. A folder that cannot be written to is left as it is.

    Args:
        run: the folder.
        entry: what was found, and by which test.
        same: the fields that two entries of the same test have in common.
    """
    path = run / EVALUATIONS
    earlier = read_json(path) if path.exists() else []
    kept = [each for each in earlier if any(each.get(key) != entry.get(key) for key in same)]
    with suppress(UserError):
        write_json(path, [*kept, entry])
