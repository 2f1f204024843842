"""The digest: sha256 over the tensors themselves, the same in every layout and file format.

What goes in, for each tensor in the order of its official name: one line ``name dtype
shape`` (``blocks.0.conv.weight float32 64,3,1,7,7``), then the elements' bytes, little-endian
and in row-major order. Containers, key prefixes, alignment and training state stay out.

No two state dicts give the hash the same bytes: a line ends at the first newline, since a name
holds neither spaces nor newlines (other names are refused), and its type and shape say how many
bytes follow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ptv_hub.containers.bounds import require_key

if TYPE_CHECKING:
    from torch import Tensor


def digest(tensors: Mapping[str, Tensor]) -> str:
    """The digest of a state dict with official keys, 64 hex digits.

    One tensor at a time is read, so tensors that are mapped from a file need no memory of
    their own. Convert other layouts first (``layouts.convert``).

    Raises:
        CheckpointError: a name that is not printable ASCII without spaces.
    """
    import torch

    for name in tensors:
        require_key(name, where=None)
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu()
        shape = ",".join(map(str, tensor.shape))
        sha.update(f"{name} {str(tensor.dtype).removeprefix('torch.')} {shape}\n".encode())
        if tensor.numel():
            sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
