# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.papers import lottery_tickets as lottery_tickets
from kerasprune.papers import pruning_nets as pruning_nets
from kerasprune.papers import pruning_spaces as spaces
from kerasprune.papers import synexp as synexp
from kerasprune.papers import three_dimensional as three_dimensional
from kerasprune.papers.lottery_tickets.tickets import Ticket as Ticket
from kerasprune.papers.lottery_tickets.tickets import lottery as lottery
from kerasprune.papers.pruning_nets.workflow import MetaPruned as MetaPruned
from kerasprune.papers.pruning_nets.workflow import meta_pruning as meta_pruning
from kerasprune.papers.pruning_nets.workflow import search_widths as search_widths
from kerasprune.papers.pruning_spaces.ranking import eagle_eye as eagle_eye
from kerasprune.papers.synexp.precrop import precrop as precrop
from kerasprune.papers.synexp.reconfigure import reconfigure as reconfigure
from kerasprune.papers.three_dimensional.one_dimension import one_dimension as one_dimension
from kerasprune.papers.three_dimensional.workflow import ThreeDimensions as ThreeDimensions
from kerasprune.papers.three_dimensional.workflow import three_dimensions as three_dimensions
