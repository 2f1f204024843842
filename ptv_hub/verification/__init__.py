"""Prove that a checkpoint is what it claims: every claim that can be recomputed is recomputed.

One room a level, in the order of the report:

    spec       parameters and FLOPs against the table; no weights needed     spec, cost
    file       size, hash and who vouches for it, format, what it says       weights_file
    keys       keys, shapes, classes; which of its look-alikes it is         keys, identity
    tensors    digest, NaN, batch norm, not at their initialisation          tensors, initialisation
    numbers    outputs for these very weights, where some are recorded       numbers, goldens,
                                                                             drawn_videos
    behaviour  deterministic, the same in any batch, layout and format       behaviour
    accuracy   what the table says, measured if videos are given              accuracy
"""
