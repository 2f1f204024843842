"""Two training steps, against plain torch on the model that pytorchvideo itself builds."""

from __future__ import annotations

import json

import torch
from torch import nn

from ptv_hub.weights import layouts
from tests import DATA
from tests.training.test_recipe import two_steps
from tools.draw import clip, state_dict

NAME = "Kinetics/X3D_XS"
GOLDEN = json.loads((DATA / "training.json").read_text())["steps"][NAME]


def test_two_steps_are_to_the_bit_those_of_plain_torch():
    """No recipe, layout or head of ours in the second half: the arithmetic is upstream's own."""
    from pytorchvideo.models.x3d import create_x3d

    losses, after = two_steps(NAME)
    model = create_x3d(
        input_clip_length=4, input_crop_size=160, dropout_rate=0.0, head_activation=None
    ).train()
    model.load_state_dict(state_dict(NAME, layout="official"))
    norms = [p for m in model.modules() if isinstance(m, nn.BatchNorm3d) for p in m.parameters()]
    known = {id(p) for p in norms}
    others = [p for p in model.parameters() if id(p) not in known]
    optimizer = torch.optim.SGD(
        [{"params": norms, "weight_decay": 0.0}, {"params": others, "weight_decay": 5e-5}],
        lr=GOLDEN["lr"],
        momentum=0.9,
        nesterov=True,
    )
    expected = []
    for step in range(2):
        clips = [clip(GOLDEN["frames"], GOLDEN["size"], seed=100 + 10 * step + b) for b in range(2)]
        loss = nn.functional.cross_entropy(model(torch.cat(clips)), torch.tensor(GOLDEN["labels"]))
        expected.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses == expected
    for key, tensor in layouts.convert(model.state_dict(), "official", "pyslowfast").items():
        if tensor.is_floating_point():
            assert after[key] == (tensor.double().sum().item(), tensor.double().norm().item()), key
