"""deepres: *Deep Residual Learning for Image Recognition* (He et al. 2015) as software.

The paper's networks, its training and evaluation protocol, and its results, reproduced.
"""

from deepres.data.cifar10 import load_cifar10, load_sample
from deepres.data.folder import open_image_folder
from deepres.evaluation.metrics import evaluate
from deepres.models import create_model, list_models, load_model
from deepres.recipes import get_recipe
from deepres.training import resume, train

__all__ = [
    "create_model",
    "evaluate",
    "get_recipe",
    "list_models",
    "load_cifar10",
    "load_model",
    "load_sample",
    "open_image_folder",
    "resume",
    "train",
]
