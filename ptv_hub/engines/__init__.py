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
