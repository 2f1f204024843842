"""``torch.hub.load("org/ptv_hub", NAME)``: an entry point for every model of the manifests.

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
    from ptv_hub.zoo.manifest import entries as _entries
except ModuleNotFoundError as _error:
    if _error.name not in dependencies:
        raise

    def _entries() -> tuple[_Entry, ...]:
        """No entry points: torch.hub then says which of the dependencies are missing."""
        return ()


_DOC = """{arch} {depth}, {frames}, trained for {dataset} ({num_classes} classes).

Published: {published}
Input: {input}, {channels}, (values / 255 - {mean}) / {std};
    {sampling}.
Returns: logits (B, {num_classes}) of clips (B, 3, T, H, W); in eval mode, its record as
    ``model.entry`` (labels, input, protocol, source of the weights).
{errata}
Args:
    pretrained (bool): with weights, which is the default; False for pytorchvideo's initial ones
    progress (bool): show a bar on stderr while fetching
    weights (str): a local file in place of the zoo's, in either layout and format
    num_classes (int): another number of classes: the classifier is then new; 0 for pooled features
    activation (str): None for logits, "softmax" or "sigmoid" for PySlowFast's scores
    features_only (bool): the outputs of the stages in place of logits
"""


def _doc(item: _Entry) -> str:
    spec, protocol, published = item.input, item.protocol, item.published
    facts = []
    if published:
        named = {
            "top-1": published.top1,
            "top-5": published.top5,
            "mAP": published.mean_average_precision,
        }
        facts = [f"{name} {value:.2f}" for name, value in named.items() if value is not None]
        clips, crops = protocol.num_clips, protocol.num_crops
        facts[-1] += f" over {clips * crops} views ({clips} x {crops}, clips x crops)"
        facts.append(f"{published.gflops:.2f} GFLOPs a view")
        facts.append(f"{published.params_millions:.2f} M parameters")
    size = f"{spec.num_frames} frames of {spec.crop_size} x {spec.crop_size}"
    if spec.slowfast_alpha:
        size += f" (slow pathway {spec.num_frames // spec.slowfast_alpha}, packed from them)"
    seconds = spec.clip_seconds
    return _DOC.format(
        arch=item.arch,
        depth=item.depth,
        frames=item.frames,
        dataset=item.dataset,
        num_classes=item.num_classes,
        published=", ".join(facts) or "nothing",
        input=size,
        channels=spec.channel_order.upper(),
        mean=spec.mean[0],
        std=spec.std[0],
        sampling=(
            f"frames {spec.sampling_rate} apart at {spec.target_fps} a second, {seconds:.2f} s"
            if seconds
            else "one frame from the middle of each of as many equal segments of the video"
        ),
        errata="".join(
            f"Erratum: {e.field} printed {e.printed}, found {e.found}\n" for e in item.errata
        ),
    )


def _entry_point(item: _Entry):
    def load(
        pretrained=True,
        progress=True,
        *,
        weights=None,
        num_classes=None,
        activation=None,
        features_only=False,
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
        )

    load.__name__ = load.__qualname__ = item.name
    load.__doc__ = _doc(item)
    return load


for _item in _entries():
    globals()[_item.name] = _entry_point(_item)
