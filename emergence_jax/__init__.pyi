# The public names: type checkers and editors read this file, and so does
# `emergence_jax/__init__.py`, which imports each when it is first used.
from .analysis import emergence as emergence
from .analysis import precedence as precedence
from .analysis.effects import effects as effects
from .analysis.plain import timing as timing
from .analysis.plain import what_moved_first as what_moved_first
from .analysis.study import analyse as analyse
from .base.types import Batch as Batch
from .base.types import Field as Field
from .base.types import Measure as Measure
from .base.types import Status as Status
from .base.types import UserError as UserError
from .cli.session import run as run
from .interventions.intervention import Intervention as Intervention
from .models.adapters import from_equinox as from_equinox
from .models.adapters import from_nnx as from_nnx
from .models.network import Network as Network
from .models.protocol import Adapted as Adapted
from .models.protocol import ModelShape as ModelShape
from .models.protocol import Output as Output
from .models.released import load_checkpoint as load_checkpoint
from .numerics.barrier import loss_barrier as loss_barrier
from .numerics.calibration import calibrate_llc as calibrate_llc
from .numerics.gram import fisher_effective_rank as fisher_effective_rank
from .numerics.gram import gradient_covariance_rank as gradient_covariance_rank
from .numerics.hessian import hessian_density as hessian_density
from .numerics.hessian import hessian_eigenvalues as hessian_eigenvalues
from .numerics.hessian import hessian_trace as hessian_trace
from .numerics.hessian import operator_eigenvalues as operator_eigenvalues
from .numerics.llc import PAPER_SETTINGS as PAPER_SETTINGS
from .numerics.llc import estimate_llc as estimate_llc
from .numerics.probes import linear_probe as linear_probe
from .numerics.spectrum import effective_rank as effective_rank
from .numerics.spectrum import participation_ratio as participation_ratio
from .numerics.spectrum import rankme as rankme
from .report.answers import answer as answer
from .running.loading import load_params as load_params
from .running.recording import measure_checkpoints as measure_checkpoints
from .running.recording import measures_of as measures_of
from .store import timeseries as timeseries
from .store.recorder import Recorder as Recorder
from .tasks.modular import ModularAddition as ModularAddition
from .tasks.supervised import Supervised as Supervised
from .tasks.task import Task as Task

__all__: list[str]
__version__: str
