"""The steps of pruning: remove, reconstruct, fine-tune, judge; `prune` takes them all.

Each is a function on models without files. `kp.prune` takes them one after the other; the stages of a recipe, and so
`kerasprune prune`, are the same steps with files between them; comparisons, spaces and rankings take them, too.
"""
