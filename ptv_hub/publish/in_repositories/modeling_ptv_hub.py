"""A model of ptv_hub as transformers loads it, with ``trust_remote_code=True``.

The network, and how a video becomes its input, are those of the package ``ptv_hub``; nothing is
copied here. Apache-2.0.
"""

import torch
from transformers import BaseVideoProcessor, BatchFeature, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput
from transformers.video_utils import VideoMetadata

try:
    from ptv_hub.publish import transformers_side as ours
except ImportError as error:
    raise ImportError(
        "this model runs on ptv_hub 0.2 or later, which is not installed here:"
        " pip install ptv_hub (or in a clone of https://github.com/org/ptv_hub: pip install .);"
        f" {error}"
    ) from error


class PtvHubConfig(PreTrainedConfig):
    """``entry`` is ptv_hub's record of the model, but for its labels."""

    model_type = "ptv_hub"

    def __init__(self, entry=None, num_frames=None, **kwargs):
        self.entry = entry
        self.num_frames = num_frames
        super().__init__(**kwargs)


class PtvHubForVideoClassification(PreTrainedModel):
    """Called with ``pixel_values_videos``, float, (B, T, 3, S, S), as the processor makes them.

    ``logits`` (B, num_labels) are such that their softmax (of several labels a video: their
    sigmoid) are ptv_hub's scores, which are averaged over the head's positions after the
    activation, as PySlowFast does; in training mode they are the head's own.
    """

    config_class = PtvHubConfig
    main_input_name = "pixel_values_videos"
    input_modalities = ("video",)

    def __init__(self, config):
        super().__init__(config)
        video = ours.build_from(config.entry, config.num_labels)
        for name, part in video.named_children():
            self.add_module(name, part)  # under the same name, for the same keys
        self._video = [video]  # in a list: its parts are registered once
        self.post_init()

    def forward(self, pixel_values_videos, labels=None, **_):
        logits = ours.logits(self._video[0], pixel_values_videos.transpose(1, 2), self.training)
        loss = None
        if labels is not None and self.config.problem_type == "multi_label_classification":
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
        elif labels is not None:
            loss = torch.nn.functional.cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


class PtvHubVideoProcessor(BaseVideoProcessor):
    """One clip of a video, its centre crop: frames and pixels are those of ``ptv_hub.predict`` with
    ``views="1x1"``. Arguments that would change size, mean or number of frames have no effect."""

    model_input_names = ["pixel_values_videos"]  # noqa: RUF012

    def __init__(self, input_spec=None, protocol=None, **kwargs):
        super().__init__(**kwargs)
        self.input_spec = input_spec
        self.protocol = protocol

    def sample_frames(self, metadata, **_):
        """The frames that the model's own protocol takes for its first clip."""
        return ours.frames_of_clip(
            self.input_spec, self.protocol, metadata.total_num_frames, metadata.fps
        )

    def fetch_videos(self, video_url_or_urls, sample_indices_fn=None):
        """Decoded by ptv_hub, which knows when each frame is shown."""
        whole = sample_indices_fn is None
        found = [
            ours.read_clip(self.input_spec, self.protocol, path, whole=whole)
            for path in video_url_or_urls
        ]
        return [frames for frames, _ in found], [VideoMetadata(**facts) for _, facts in found]

    def _preprocess(self, videos, return_tensors=None, **_):
        clips = [ours.pixels(self.input_spec, video).transpose(0, 1) for video in videos]
        return BatchFeature({"pixel_values_videos": torch.stack(clips)}, tensor_type=return_tensors)
