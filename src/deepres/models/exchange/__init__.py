"""Weights of other programs: read from their files, and written to them."""

from deepres.models.exchange.exporting import TARGETS, export_weights
from deepres.models.exchange.importing import SOURCES, import_weights

__all__ = ["SOURCES", "TARGETS", "export_weights", "import_weights"]
