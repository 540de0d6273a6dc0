"""What is coupled: channel ids, groups, blocks, the walk over a model and its trace; plans, the decision as data."""
