"""Whole experiments as YAML files: the schema of a recipe, its loader and runner, run folders, and comparisons."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
