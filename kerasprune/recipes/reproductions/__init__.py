"""Entries of `kerasprune reproduce`: one file each."""

from kerasprune.recipes.reproductions import greg_tables

__all__ = ["greg_tables"]
