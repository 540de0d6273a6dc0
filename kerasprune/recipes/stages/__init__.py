"""The stages of a run: the steps of pruning, with files in the run folder.

A model is passed on in memory, and is saved before its stage counts as finished. So an interrupted stage is repeated
from the files of the one before, and a resumed run has the same results as an uninterrupted one.
"""
