"""The stages of a run. Each reads files of the run folder and writes files into it, nothing else passes.

So a stage that was interrupted is begun anew from the files of the one before, and a resumed run computes what an
uninterrupted one does.
"""
