"""The table of criteria."""

from kerasprune.registry import Registry

criteria = Registry("criterion")
