"""Evaluation of trained networks."""

from deepres.evaluation.protocol import evaluate
from deepres.evaluation.scores import Scores

__all__ = ["Scores", "evaluate"]
