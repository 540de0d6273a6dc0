"""Several fits: rounds, three dimensions, lottery tickets."""
