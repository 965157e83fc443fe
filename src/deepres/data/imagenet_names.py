"""What ILSVRC2012's 1000 classes are called, in the order of their WordNet ids."""

from pathlib import Path


def imagenet_names() -> tuple[str, ...]:
    """Return the first of WordNet's words for each class; two pairs of classes share one."""
    text = Path(__file__).with_suffix(".txt").read_text("utf-8")
    return tuple(text.splitlines())
