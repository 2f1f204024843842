"""A loaded model -> a faster one with the same scores.

=========  =======================================================================
torch      batch norms folded, activations and sums in the convolutions' kernels,
           channels_last_3d, no autograd
compile    the same, through ``torch.compile``: a first call of half a minute
openvino   through OpenVINO (``pip install 'ptv_hub[openvino]'``), on CPUs
auto       the fastest of those installed whose scores are within 1e-5 of the model's
=========  =======================================================================

What it costs and brings on which machine stands in ``docs/performance.md``. A faster model
takes and returns what the model does, and is not made to be trained or saved.
"""

from ptv_hub.backends.allocator import keep_freed_memory as keep_freed_memory
from ptv_hub.backends.measure import EAGER as EAGER
from ptv_hub.backends.measure import Case as Case
from ptv_hub.backends.measure import Measurement as Measurement
from ptv_hub.backends.measure import measure as measure
from ptv_hub.backends.optimized import BACKENDS as BACKENDS
from ptv_hub.backends.optimized import DTYPES as DTYPES
from ptv_hub.backends.optimized import OptimizedModel as OptimizedModel
from ptv_hub.backends.optimized import Trial as Trial
from ptv_hub.backends.optimized import installed as installed
from ptv_hub.backends.optimized import optimize as optimize
