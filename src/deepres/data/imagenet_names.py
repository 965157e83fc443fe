"""What ILSVRC2012's 1000 classes are called, in the order of their WordNet ids."""

from pathlib import Path


def imagenet_names() -> tuple[str, ...]:
    """Return a name for each class, no two alike: the first of WordNet's words, or two of them."""
    text = Path(__file__).with_suffix(".txt").read_text("utf-8")
    return tuple(text.splitlines())
