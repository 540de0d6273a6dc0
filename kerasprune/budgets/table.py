"""The table of budgets."""

from kerasprune.registry import Registry

budgets = Registry("budget")
