"""Training."""

from deepres.training.run import resume, train

__all__ = ["resume", "train"]
