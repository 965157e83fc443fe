"""The options that all commands have which train."""

import argparse
from pathlib import Path


def add_run_options(
    parser: argparse.ArgumentParser, *, seeds: str, setting: str, folder: str
) -> None:
    """Declare the options of a run.

    Args:
        parser: the command's.
        seeds: what the seed is of, in words.
        setting: a field of the recipe and its value, as an example.
        folder: where a run lies by default, in words.
    """
    parser.add_argument(
        "--steps",
        type=int,
        help="shorten the recipe to so many steps, its milestones in proportion; "
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
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:N, mps or auto (default)")
    parser.add_argument(
        "--workers",
        type=int,
        help="processes that decode image files (default: one a core, up to 8)",
    )
    parser.add_argument("--out", type=Path, help=f"folder to make (default: {folder})")
    parser.add_argument(
        "--save-every",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="time between checkpoints (default: %(default).0f)",
    )
