"""deepres compare: runs against each other."""

import argparse
from pathlib import Path

from deepres.cli.terminal import print_json, show
from deepres.errors import UserError
from deepres.files import check_ours
from deepres.report.comparison import as_data, comparison, recipe_differences, result_differences
from deepres.report.pictures import PICTURES, save_picture
from deepres.report.read_runs import read_run
from deepres.report.render import as_text


def call(options: argparse.Namespace) -> int:
    """Print the differences in recipe and result, and draw the curves."""
    if len(options.runs) < 2:
        raise UserError(f"compare takes two runs or more, got only {options.runs[0]}")
    out = options.out or Path("compare.png")
    if out.suffix.lower() not in PICTURES:
        raise UserError(f"--out must end in {' or '.join(PICTURES)}, got {out}")
    if not options.out:
        check_ours(out)
    runs = [read_run(path) for path in options.runs]
    figure, picture = comparison(runs, options.x_axis), None
    try:
        picture = save_picture(figure, out)
    finally:
        if options.json:
            print_json({**as_data(runs), "files": {"curves": picture and str(picture)}})
        else:
            for table in (recipe_differences(runs), result_differences(runs)):
                show(as_text(table))
    if not options.json:
        show(f"curves: {picture}")
    return 0
