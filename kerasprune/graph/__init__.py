"""What is coupled: channel ids, rules, groups, blocks, and the walk over a model."""
