"""Evaluation of trained networks."""

from deepres.evaluation.metrics import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
