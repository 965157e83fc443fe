"""Training."""

from deepres.training.api import resume, train

__all__ = ["resume", "train"]
