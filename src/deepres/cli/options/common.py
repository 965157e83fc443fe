"""The options that commands share, declared once."""

import argparse
from pathlib import Path


def add_execution(parser: argparse.ArgumentParser, workers: bool = True) -> None:
    """Declare where the work is done and, where image files are read, by how many processes."""
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    if workers:
        parser.add_argument(
            "--workers",
            type=int,
            help="processes that decode image files (default: one a core, up to 8)",
        )


def add_bad_images(parser: argparse.ArgumentParser) -> None:
    """Declare what is done about image files that cannot be decoded."""
    parser.add_argument(
        "--bad-images",
        choices=["fail", "skip"],
        default="fail",
        help="stop at a file that cannot be decoded (default), or leave it out and say so",
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
        "--steps",
        type=int,
        help="shorten or lengthen the recipe to so many steps, its milestones in proportion; "
        "with --resume: extend the run to so many",
    )
    parser.add_argument("--seed", type=int, help=f"of {seeds} (default: 0)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help=f"replace a field of the recipe, e.g. {setting}; may be given several times",
    )
    add_execution(parser)
    parser.add_argument("--out", type=Path, help=f"folder to make (default: {folder})")
    parser.add_argument(
        "--save-every",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="time between checkpoints (default: %(default).0f)",
    )


def add_x_axis(parser: argparse.ArgumentParser) -> None:
    """Declare what curves are drawn against."""
    parser.add_argument(
        "--x-axis",
        choices=["steps", "share"],
        help="draw curves against steps, or against the share of each run's schedule in %% "
        "(default: steps, unless one run is more than three times as long as another)",
    )
