"""Published systems, a folder each: budget, search, workflow, stage of recipes and figures of one paper together.

Nothing outside imports from here: `BRINGS` of a folder says by name what it adds to which table, and the package works
without any of the folders. One folder does not import another.
"""
