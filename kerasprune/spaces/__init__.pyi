# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.spaces.counting import costs as costs
from kerasprune.spaces.recipes import Recipes as Recipes
