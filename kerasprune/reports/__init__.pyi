# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.reports.comparison import compared as compared
from kerasprune.reports.html import page as page
from kerasprune.reports.html import write as write
from kerasprune.reports.record import Record as Record
from kerasprune.reports.record import read as read
