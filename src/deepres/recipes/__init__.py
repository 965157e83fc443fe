"""Recipes by name: a recipe has its network's name."""

from deepres.recipes.cifar10 import departures, get_recipe
from deepres.recipes.schema import Recipe

__all__ = ["Recipe", "departures", "get_recipe"]
