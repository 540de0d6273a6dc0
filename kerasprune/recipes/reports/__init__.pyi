# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.recipes.reports.comparison import rows_by_experiment as compared
from kerasprune.recipes.reports.html import page as page
from kerasprune.recipes.reports.html import write as write
from kerasprune.recipes.reports.record import Record as Record
from kerasprune.recipes.reports.record import read as read
