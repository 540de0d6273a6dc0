"""The table of callbacks."""

from kerasprune.registry import Registry

callbacks = Registry("callback")
