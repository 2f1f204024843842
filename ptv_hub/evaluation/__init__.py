"""Model + items + protocol -> result: restartable, on one process or many.

``evaluate`` is the whole of it; it knows nothing of where the weights came from.
"""

from ptv_hub.evaluation.loop import DTYPES, evaluate, finish
from ptv_hub.evaluation.merging import merge
from ptv_hub.evaluation.result import EvalResult
from ptv_hub.evaluation.summary import collect, summarize, write_scores

__all__ = [
    "DTYPES",
    "EvalResult",
    "collect",
    "evaluate",
    "finish",
    "merge",
    "summarize",
    "write_scores",
]
