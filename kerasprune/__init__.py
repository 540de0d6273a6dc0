"""kerasprune makes Keras 3 models genuinely smaller."""

from kerasprune import budgets, criteria, rules, schedules
from kerasprune.cost import Cost, cost
from kerasprune.errors import PruneError
from kerasprune.graph import Block, ChannelGraph, Group
from kerasprune.masking import mask
from kerasprune.planning import plan
from kerasprune.plans import Plan
from kerasprune.rebuild import rebuild
from kerasprune.rules import rule
from kerasprune.summary import report
from kerasprune.tracing import trace

__version__ = "0.1.0"
