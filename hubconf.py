"""``torch.hub.load("org/ptv_hub", NAME)``: an entry point for every model of the zoo's core, and
for every video model of PyTorchVideo's own hub.

``torch.hub.list("org/ptv_hub")`` names them, ``torch.hub.help("org/ptv_hub", NAME)`` tells
what one is and wants. Nothing needs to be installed but what ``dependencies`` names.
"""

from __future__ import annotations

dependencies = [
    *("torch", "torchvision", "pytorchvideo", "pydantic", "requests", "tqdm", "safetensors"),
    "filelock",  # torch brings it
]

# All names here but those of the models begin with an underscore: torch.hub lists the others.

try:
    from ptv_hub.zoo.entry import Entry as _Entry
    from ptv_hub.zoo.facts import facts as _facts
    from ptv_hub.zoo.manifest import demonstrations as _demonstrations
    from ptv_hub.zoo.manifest import entries as _core
    from ptv_hub.zoo.manifest import of_zoo as _of_zoo

    def _entries() -> tuple[_Entry, ...]:
        """The zoo's core, and the rest of PyTorchVideo's own hub."""
        return (*_core(), *_of_zoo("pytorchvideo"))
except ModuleNotFoundError as _error:
    if _error.name not in dependencies:
        raise

    def _entries() -> tuple[_Entry, ...]:
        """No entry points: torch.hub then says which of the dependencies are missing."""
        return ()

    _demonstrations = _entries


_DOC = """{arch} {depth}, {frames}, trained for {dataset} ({num_classes} classes).

{known}
Returns: logits {returned}; in eval mode, its record as
    ``model.entry`` (labels, input, protocol, source of the weights).

Args:
    pretrained (bool): with weights, which is the default; False for pytorchvideo's initial ones
    progress (bool): show a bar on stderr while fetching
    weights (str): a local file in place of the zoo's, in either layout and format
    num_classes (int): another number of classes: the classifier is then new; 0 for pooled features
    activation (str): None for logits, "softmax" or "sigmoid" for PySlowFast's scores
    features_only (bool): the outputs of the stages in place of logits
    out_indices (list): of features_only, which stages: 0 is the stem, -1 the last
"""


def _doc(item: _Entry) -> str:
    known = _facts(item)
    groups = {
        "Published": known.published,
        "Input": known.input,
        "Protocol": known.protocol,
        "Errata": known.errata,
    }
    told = ""
    for title, rows in groups.items():
        if rows:
            told += f"{title}:\n" + "".join(f"    {what}: {value}\n" for what, value in rows)
    return _DOC.format(
        arch=item.arch,
        depth=item.depth,
        frames=item.frames,
        dataset=item.dataset,
        num_classes=item.num_classes,
        returned=_returned(item),
        known=told,
    )


def _returned(item: _Entry) -> str:
    clips = "clips (B, 3, T, H, W)"
    if item.head.takes_boxes:
        return f"(N, {item.num_classes}) of {clips} and boxes (N, 5)"
    return f"(B, {item.num_classes}) of {clips}"


def _entry_point(item: _Entry):
    def load(
        pretrained=True,
        progress=True,
        *,
        weights=None,
        num_classes=None,
        activation=None,
        features_only=False,
        out_indices=None,
    ):
        from ptv_hub.weights.load import load as straight_road

        return straight_road(
            item,
            pretrained=pretrained,
            progress=progress,
            weights=weights,
            num_classes=num_classes,
            activation=activation,
            features_only=features_only,
            out_indices=out_indices,
        )

    load.__name__ = load.__qualname__ = item.name
    load.__doc__ = _doc(item)
    return load


for _item in (*_entries(), *_demonstrations()):
    globals()[_item.name] = _entry_point(_item)
