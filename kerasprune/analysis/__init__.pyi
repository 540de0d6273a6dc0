# The public names of the package, which `kerasprune.registry.lazy` imports on first use.
from kerasprune.analysis.between_models import Line as Line
from kerasprune.analysis.between_models import line as line
from kerasprune.analysis.feature_maps import mean_feature_maps as mean_feature_maps
from kerasprune.analysis.fewer_units import DropoutStability as DropoutStability
from kerasprune.analysis.fewer_units import dropout_stability as dropout_stability
from kerasprune.analysis.forked_trainings import Instability as Instability
from kerasprune.analysis.forked_trainings import instability_from as instability_from
from kerasprune.analysis.loss_surfaces import Plane as Plane
from kerasprune.analysis.loss_surfaces import plane as plane
from kerasprune.analysis.low_curves import Curve as Curve
from kerasprune.analysis.low_curves import curve as curve
from kerasprune.analysis.path_of_halves import StablePath as StablePath
from kerasprune.analysis.path_of_halves import stable_path as stable_path
