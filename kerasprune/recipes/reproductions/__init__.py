"""Entries of `kerasprune reproduce`: one file each."""

from kerasprune.recipes.reproductions import greg_tables, map_table5

__all__ = ["greg_tables", "map_table5"]
