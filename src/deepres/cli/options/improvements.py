"""The options of the appendix's improvements, which commands for detectors share."""

import argparse


def add_improvements(parser: argparse.ArgumentParser) -> None:
    """Declare the switches for the appendix's improvements."""
    parser.add_argument(
        "--refine",
        action="store_true",
        help="iterative box refinement with box voting (appendix B)",
    )
    parser.add_argument(
        "--multi-scale",
        action="store_true",
        help="maxout over two adjacent of five scales (appendix B)",
    )
