"""The steps of pruning: remove, reconstruct, fine-tune, judge, choose; `kp.prune` runs them all.

Each step is a function on models without files. The stages of a recipe, and so `kerasprune prune`, are the same steps
with files in between.
"""
