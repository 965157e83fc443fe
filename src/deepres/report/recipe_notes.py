"""Recipes that take many words: a number in place of each, and the words in a note, once."""

from collections.abc import Iterable, Mapping

from deepres.report.grouping import distance_from_paper
from deepres.report.runs import Run

RECIPE_WIDTH = 40
"""Characters of what is not the paper's in a recipe that a line has room for."""
Recipes = Mapping[str, int]
"""Recipes that take more, by their words: the number of each."""


def numbered_recipes(runs: Iterable[Run]) -> dict[str, int]:
    """Number the recipes of ``runs`` that are too long for a line; the same runs, the same numbers.

    Those of runs nearer to the paper's come first.
    """
    found = [run.own_recipe for run in sorted(runs, key=distance_from_paper)]
    long = dict.fromkeys(recipe for recipe in found if len(recipe) > RECIPE_WIDTH)
    return {recipe: number for number, recipe in enumerate(long, start=1)}


def in_short(text: str, recipes: Recipes) -> str:
    """Return ``text`` with "recipe 1" in place of what that says."""
    for recipe in longest_first(recipes):
        text = text.replace(recipe, f"recipe {recipes[recipe]}")
    return text


def longest_first(recipes: Recipes) -> list[str]:
    """Return the words of recipes, those that hold others first."""
    return sorted(recipes, key=len, reverse=True)
