"""The paper's networks."""

from deepres.models.create import create_model, list_models
from deepres.models.stages import Intermediates, StagedNetwork

__all__ = ["Intermediates", "StagedNetwork", "create_model", "list_models"]
