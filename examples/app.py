"""Drop a video or use the webcam, choose a model, and see what it says, and when.

    pip install 'ptv_hub[app]'
    python examples/app.py [--port 7860] [--models motion_x3d x3d_s slowfast_r50]

It listens on this machine alone, reports to nobody, takes videos of up to 200 MB, and removes
what was uploaded after a quarter of an hour and when it ends.
"""

from __future__ import annotations

import argparse
import os
from functools import lru_cache

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported

import gradio as gr
import pandas as pd

import ptv_hub
from ptv_hub.errors import PtvHubError

MODELS = ("motion_x3d", "x3d_s", "x3d_m", "slowfast_r50", "slow_r50_ssv2")
LONGEST_MB = 200
KEPT_S = 15 * 60
CLIPS = 10


@lru_cache(maxsize=2)
def loaded(name: str):
    return ptv_hub.load(name)


def told(video: str | None, name: str) -> tuple[dict[str, float], pd.DataFrame, str]:
    """Label -> score; a row for each class and clip; and what there is to say beside them."""
    if video is None:
        raise gr.Error("There is no video yet: drop one, or record one with the webcam.")
    try:
        model = loaded(name)
        views = model.entry.protocol
        clips = CLIPS if views.num_clips > 1 else 1
        found = ptv_hub.predict(model, video, top_k=5, views=(clips, 1), timeline=True)
    except PtvHubError as error:
        raise gr.Error(str(error)) from error
    rows = [
        {"seconds": (moment.start + moment.end) / 2, "score": score, "class": one.label}
        for moment in found.timeline or ()
        for one, score in zip(found.predictions, moment.scores, strict=True)
    ]
    columns = pd.DataFrame(rows, columns=["seconds", "score", "class"])
    said = [f"{found.duration:.1f} s, {found.views} views", *found.notes]
    return {one.label: one.score for one in found.predictions}, columns, "; ".join(said)


def app(names: list[str]) -> gr.Blocks:
    with gr.Blocks(title="ptv_hub", delete_cache=(60, KEPT_S)) as blocks:
        gr.Markdown("# What is seen in a video, and when")
        with gr.Row():
            with gr.Column(scale=2):
                video = gr.Video(label="Video", sources=["upload", "webcam"], height=360)
                over_time = gr.LinePlot(
                    x="seconds", y="score", color="class", label="Clip by clip", y_lim=[0, 1]
                )
            with gr.Column():
                name = gr.Dropdown(names, value=names[0], label="Model")
                start = gr.Button("Predict", variant="primary")
                labels = gr.Label(label="Over the whole video", num_top_classes=5)
                notes = gr.Markdown()
        # One at a time: a model is asked for scores, and gives them, for one video.
        start.click(told, [video, name], [labels, over_time, notes], concurrency_limit=1)
    return blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--models", nargs="+", default=list(MODELS), metavar="NAME")
    words = parser.parse_args()
    app(words.models).launch(
        server_name="127.0.0.1",
        server_port=words.port,
        max_file_size=f"{LONGEST_MB}mb",
        share=False,
        footer_links=[],
        # Gradio's own themes ask a server for their fonts.
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
    )


if __name__ == "__main__":
    main()
