"""The stages of a run: the steps of pruning, with files. Each writes what it has made into the run folder.

A model is handed on in memory, and is on disk before its stage counts as finished. So a stage that was interrupted is
begun anew from the files of the one before, and a resumed run computes what an uninterrupted one does.
"""
