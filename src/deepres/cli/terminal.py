"""What the commands share: how they print, and how they find CIFAR-10."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepres.errors import UserError
from deepres.files import strict
from deepres.recipe_words import length_in_words
from deepres.recipes import CifarRecipe
from deepres.torchrun import is_leader, number_of_processes
from deepres.visible import in_a_line, visible

if TYPE_CHECKING:
    from deepres.data.cifar10 import Cifar10
    from deepres.data.folder import ImageFolder

DATA_FOLDER = Path("data/cifar10")
IMAGENET_FOLDER = Path("data/imagenet")
DATA_HELP = (
    "folder with CIFAR-10's binary files, or 'sample', the 6,000 images inside the package; for "
    "ImageNet's networks a folder with train/<class>/ and val/<class>/ (default: where a run's "
    f"data are, else {DATA_FOLDER}, fetched if it is missing, or {IMAGENET_FOLDER})"
)
LEAST_TEXT = 6
"""How many characters wide a column of text stays in a narrow terminal."""


def say(line: str) -> None:
    """Print a line on what is going on, to standard error; of several processes one speaks."""
    if is_leader():
        print(in_a_line(line), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Print a result, to standard output."""
    print(visible(text))


def print_json(content: Any) -> None:
    """Print what a command found as JSON, to standard output; NaN and infinity become null.

    It is ASCII: what is in a name does nothing to a terminal, and any encoding can have it.
    """
    print(json.dumps(strict(content), indent=2, allow_nan=False))


def print_table(
    title: str, columns: list[str], rows: list[list[str]], text_columns: int = 1
) -> None:
    """Print a table to standard output: the first ``text_columns`` hold text, the rest numbers.

    In a narrow terminal text folds; numbers never lose a digit. In a pipe a row is a line.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns, title = [in_a_line(column) for column in columns], visible(title)
    rows = [[in_a_line(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
    for i, (column, width) in enumerate(zip(columns, widths, strict=True)):
        if i < text_columns:
            table.add_column(column, overflow="fold", min_width=min(width, LEAST_TEXT))
        else:
            table.add_column(column, justify="right", no_wrap=True, min_width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    whole = max(sum(widths) + 2 * len(widths), cell_len(title))
    shown = sys.stdout.isatty()  # FORCE_COLOR, too, leaves a pipe plain text
    console = Console(highlight=False, force_terminal=shown, width=None if shown else whole)
    if title:  # not the table's own: it would be folded at the width of that
        console.print(Text(title, style="table.title"), overflow="fold", crop=False)
    console.print(table, crop=False)


def data_folder(given: Path | None, noted: dict[str, Any]) -> Path:
    """Return the folder of the data that a command is given, or that the run had.

    Args:
        given: by the command.
        noted: what recipe.json has on the run's data.

    Raises:
        UserError: neither is known; what deepres brings along does not say where its data lay.
    """
    if (place := given or noted["location"]) is None:
        raise UserError(f"where is {noted['source']}? Give its folder by --data")
    return Path(place)


def length(result: dict[str, Any]) -> str:
    """Return in words how long a run was, from its result.json."""
    return length_in_words(result["steps"], result["scaled_from"])


def open_data(name: str | None, kind: str = CifarRecipe.kind) -> "Cifar10 | ImageFolder":
    """Return the data called ``name``, for recipes of ``kind``: a folder, or ``sample``.

    Without a name that is the usual folder, and CIFAR-10 is fetched if it is not there.

    Raises:
        UserError: the folder lacks the data, or holds damaged files; or several processes would
            have to fetch.
        NoSource: CIFAR-10 is to be fetched, and no source can be reached.
    """
    from deepres.data.cifar10 import MD5, load_cifar10, load_sample
    from deepres.data.fetch import fetch_cifar10
    from deepres.data.folder import open_image_folder

    if kind != CifarRecipe.kind:
        if name and (name == "sample" or any((Path(name) / file).exists() for file in MD5)):
            raise UserError(
                f"--data {name} is CIFAR-10, and this network learns from a folder with "
                "train/<class>/ and val/<class>/; give one, or name a network for CIFAR-10, e.g. "
                "resnet20"
            )
        return open_image_folder(Path(name) if name else imagenet_folder(), say)
    if name == "sample":
        return load_sample()
    if holds_classes(name):
        raise UserError(
            f"{name} holds a folder of images for each class, and the paper's networks of 6n+2 "
            "layers learn from CIFAR-10: name a network for such folders, e.g. resnet18, or give "
            "weights to fine-tune on them by --weights"
        )
    if name is None and not all((DATA_FOLDER / file).exists() for file in MD5):
        if number_of_processes() > 1:
            raise UserError(f"{DATA_FOLDER} is not complete; fetch it first: deepres data cifar10")
        fetch_cifar10(DATA_FOLDER, say)
    return load_cifar10(Path(name) if name else DATA_FOLDER)


def holds_classes(name: str | None) -> bool:
    """Tell whether ``name`` is a folder with ``train/``, as ImageNet and Tiny-ImageNet have it."""
    return name is not None and (Path(name) / "train").is_dir()


def imagenet_folder() -> Path:
    """Return the usual folder of ImageNet.

    Raises:
        UserError: it is not there; it says what to do.
    """
    if not IMAGENET_FOLDER.is_dir():
        raise UserError(
            f"{IMAGENET_FOLDER} is not there: fetch ImageNet's archives by hand (image-net.org), "
            "then run: deepres data imagenet prepare FOLDER; or give your own images, in "
            "train/<class>/ and val/<class>/, by --data"
        )
    return IMAGENET_FOLDER
