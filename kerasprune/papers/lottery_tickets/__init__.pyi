# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.papers.lottery_tickets.ablations import Inverted as Inverted
from kerasprune.papers.lottery_tickets.ablations import shuffle_masks as shuffled
