"""Recipes: whole experiments as YAML files, one file per experiment."""

from kerasprune.registry import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
