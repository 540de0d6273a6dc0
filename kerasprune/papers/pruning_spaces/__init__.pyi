# Written by tests/test_names.py from the table in __init__.py.
from kerasprune.spaces.counting import costs as costs
from kerasprune.spaces.distribution import EDF as EDF
from kerasprune.spaces.distribution import edf as edf
from kerasprune.spaces.ratio import mcb as mcb
from kerasprune.spaces.recipes import Recipes as Recipes
from kerasprune.spaces.rejection import acceptance as acceptance
from kerasprune.spaces.rejection import random_recipes as random_recipes
from kerasprune.spaces.sampling import sample as sample
from kerasprune.spaces.sampling import uniform as uniform
from kerasprune.spaces.space import Space as Space
