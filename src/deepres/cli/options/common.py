"""The options that commands share, declared once."""

import argparse
from pathlib import Path

from deepres.cli.options.hints import add_device_hints, add_training_hints


def add_execution(parser: argparse.ArgumentParser, workers: bool = True) -> None:
    """Declare where the work is done, by how many threads, and which processes read images."""
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="threads that compute on a CPU (default: one a core, or OMP_NUM_THREADS)",
    )
    add_device_hints(parser, several=workers)
    if workers:
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            help="processes that decode image files (default: one a core, up to 8)",
        )


def add_json(parser: argparse._ActionsContainer) -> None:
    """Declare that a command can print its findings for programs."""
    parser.add_argument(
        "--json", action="store_true", help="print JSON, and nothing else, in place of tables"
    )


def add_bad_images(parser: argparse.ArgumentParser, default: str | None = "fail") -> None:
    """Declare what is done about image files that cannot be decoded."""
    parser.add_argument(
        "--bad-images",
        choices=["fail", "skip"],
        default=default,
        help="stop at a file that cannot be decoded (default), or leave it out and say so",
    )


def add_bad_boxes(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """Declare what is done about annotations that cannot be right.

    Args:
        parser: the command's.
        otherwise: what is done by default, in words.
    """
    parser.add_argument(
        "--bad-boxes",
        choices=["fail", "skip"],
        help="stop at annotations that cannot be right, or leave them out and say so (default: "
        f"{otherwise})",
    )


def add_training(
    parser: argparse.ArgumentParser,
    *,
    networks: str,
    several: bool,
    seeds: str,
    setting: str,
    folder: str,
) -> None:
    """Declare what all commands take that train.

    Args:
        parser: the command's.
        networks: what is named first, in words.
        several: whether several networks are trained at once.
        seeds: what the seed is of, in words.
        setting: a field of the recipe and its value, as an example.
        folder: where a run lies by default, in words.
    """
    parser.add_argument("networks", nargs="*" if several else "?", metavar="NETWORK", help=networks)
    parser.add_argument(
        "--resume", type=Path, nargs="+", metavar="RUN", help="go on with runs, several at once"
    )
    parser.add_argument(
        "--recipe",
        type=Path,
        metavar="FILE|RUN",
        help="repeat somebody's run, to the same bits on the same machine, as its recipe.json (or "
        "its folder) tells it",
    )
    parser.add_argument(
        "--steps",
        type=int,
        help="shorten or lengthen the recipe to so many steps, its milestones in proportion; "
        "with --resume: extend the run to so many",
    )
    parser.add_argument("--seed", type=int, help=f"the seed of {seeds} (default: 0)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help=f"replace a field of the recipe, e.g. {setting}; may be given several times",
    )
    add_training_hints(parser)
    add_execution(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help=f"the run's folder (default: {folder}; with --recipe "
        "runs/<network>-repeated[-<steps>steps]-s<seed>)",
    )
    parser.add_argument(
        "--save-every",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="time between checkpoints (default: %(default).0f)",
    )
    parser.add_argument(
        "--log",
        choices=["tensorboard"],
        help="write the run's events into its folder for TensorBoard, too, as it goes; needs the "
        "extra 'tensorboard'",
    )


def add_x_axis(parser: argparse.ArgumentParser) -> None:
    """Declare what curves are drawn against."""
    parser.add_argument(
        "--x-axis",
        choices=["steps", "share"],
        help="draw curves against steps, or against the share of each run's schedule in %% "
        "(default: steps, unless one run is more than three times as long as another)",
    )
