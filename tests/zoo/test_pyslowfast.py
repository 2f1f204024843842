"""PySlowFast's configs in and out. tests/data/configs.json holds what those of the zoo state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ptv_hub.errors import ConfigError, UsageError
from ptv_hub.fetching.hub import entry
from ptv_hub.models.builders import build, shapes
from ptv_hub.zoo.manifest import entries, find
from ptv_hub.zoo.pyslowfast import (
    Config,
    Paths,
    from_config,
    table,
    to_native_yaml,
    to_values,
    to_yaml,
)
from ptv_hub.zoo.pyslowfast.values import Values, defaults
from ptv_hub.zoo.recipe import WITHOUT_KEY, Recipe, learning_rate, recipe_of
from tests import DATA
from tools import draw_other

CONFIGS = json.loads((DATA / "configs.json").read_text())
NAMES = sorted(CONFIGS)

# What a config does not say of a model: who it is, its files, its published figures.
IDENTITY = {
    *("name", "zoo_name", "config", "pretrain", "labels", "artifacts", "published", "errata"),
    *("num_params", "digest", "paper", "license", "source", "zoo", "validation"),
}


def flat(tree: dict, prefix: str = "") -> dict:
    result = {}
    for key, value in tree.items():
        nested = isinstance(value, dict)
        result.update(flat(value, f"{prefix}{key}.") if nested else {prefix + key: value})
    return result


def write(folder: Path, tree: dict, name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(tree))
    return path


def zoo_config(name: str) -> Config:
    item = entry(name)
    return Config(entry=item, recipe=recipe_of(item), paths=Paths())


@pytest.mark.parametrize("name", NAMES)
def test_the_zoos_configs_mean_the_manifests_entries_and_recipes(name, tmp_path):
    config = from_config(write(tmp_path, CONFIGS[name]))
    item = entry(name)
    assert config.entry.model_dump(exclude=IDENTITY) == item.model_dump(exclude=IDENTITY)
    assert config.recipe == recipe_of(item)


@pytest.mark.parametrize("name", NAMES)
def test_a_written_config_states_what_the_zoos_config_states(name):
    reference = {**defaults(), **flat(CONFIGS[name])}
    written = {**defaults(), **flat(yaml.safe_load(to_yaml(zoo_config(name))))}
    differing = {k for k in reference if reference[k] != written[k]}
    # Non-local blocks, which PyTorchVideo's builders do not build, and temporal kernels that
    # PTVResNet does not read.
    without_effect = {"NONLOCAL.LOCATION", "NONLOCAL.GROUP", "NONLOCAL.POOL"}
    without_effect |= {"NONLOCAL.INSTANTIATION"}
    assert differing <= without_effect


@pytest.mark.parametrize("name", NAMES)
def test_in_and_out_agree(name, tmp_path):
    for complete in (False, True):
        path = tmp_path / "config.yaml"
        path.write_text(to_yaml(zoo_config(name), complete=complete))
        config = from_config(path)
        assert config.entry.model_dump(exclude=IDENTITY) == entry(name).model_dump(exclude=IDENTITY)
        assert config.recipe == recipe_of(entry(name))
        assert to_values(config) == to_values(zoo_config(name))


def test_every_field_of_recipe_and_paths_has_one_row_and_no_two_rows_write_one_key():
    for rows, record, without in (
        (table.RECIPE, Recipe(), set(WITHOUT_KEY)),
        (table.PATHS, Paths(), set()),
    ):
        fields = [row.field for row in rows]
        assert len(fields) == len(set(fields))
        assert set(fields) == set(type(record).model_fields) - without
        keys = [key for row in rows for key in row.write(record)]
        assert len(keys) == len(set(keys))
        assert set(keys) <= set(defaults())


@pytest.mark.parametrize("name", NAMES)
def test_each_row_reads_back_what_it_wrote(name):
    config = zoo_config(name)
    records = (
        (table.BUILDERS[config.entry.builder.name], config.entry.builder),
        *((table.INPUT, config.entry.input), (table.PROTOCOL, config.entry.protocol)),
        *((table.RECIPE, config.recipe), (table.PATHS, Paths(data="a", resume=False))),
    )
    written = to_values(config) | to_values(Config(**{**dict(config), "paths": records[-1][1]}))
    for rows, record in records:
        read = table.read(rows, Values(written, "a test"))
        assert type(record).model_validate({**dict(record), **read}) == record


def other(value: object) -> object:
    """Another value of the same kind; ``None`` where only the record knows which there are."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, (int, float)) else None


@pytest.mark.parametrize("rows", [table.RECIPE, table.PATHS], ids=["recipe", "paths"])
def test_a_row_reads_and_writes_the_same_key(rows):
    record = Recipe(precise_bn_batches=7) if rows is table.RECIPE else Paths()
    for row in rows:
        value = other(getattr(record, row.field))
        if value is None:
            continue
        changed = record.model_copy(update={row.field: value})
        assert row.read(Values(row.write(changed), "a test")) == value, row.field


@pytest.mark.parametrize("name", NAMES)
def test_the_entry_of_a_config_builds_the_zoos_model(name, tmp_path):
    config = from_config(write(tmp_path, CONFIGS[name]))
    assert shapes(config.entry) == shapes(entry(name))


def test_every_entry_of_the_zoo_has_a_recipe():
    assert all(recipe_of(item) is not None for item in entries() if item.published)


def test_a_config_of_ones_own(tmp_path):
    """Classes, depth, frames, crop, alpha, kernels, dropout and activation reach the model."""
    path = write(tmp_path, CONFIGS["Kinetics/SLOWFAST_8x8_R50"])
    opts = ["MODEL.NUM_CLASSES", 7, "RESNET.DEPTH", 101, "DATA.NUM_FRAMES", "16"]
    opts += ["SLOWFAST.ALPHA", 8, "SLOWFAST.FUSION_KERNEL_SZ", 5, "SLOWFAST.BETA_INV", 4]
    opts += ["DATA.TRAIN_CROP_SIZE", 64, "DATA.TEST_CROP_SIZE", 96, "MODEL.DROPOUT_RATE", "1e-1"]
    opts += ["DATA.TRAIN_JITTER_SCALES", "(96, 112)", "MODEL.HEAD_ACT", "sigmoid"]
    opts += ["TEST.NUM_SPATIAL_CROPS", 1]
    item = from_config(path, opts).entry
    assert (item.num_classes, item.builder.depth, item.builder.dropout) == (7, 101, 0.1)
    assert (item.input.num_frames, item.input.slowfast_alpha, item.builder.beta_inv) == (16, 8, 4)
    assert (item.frame_length, item.sample_rate) == (2, 16)
    assert item.input.train_jitter == (96, 112)
    assert (item.protocol.activation, item.protocol.num_crops) == ("sigmoid", 1)
    model = build(item, device="meta")
    assert model.blocks[-1].proj.weight.shape == (7, 2048 + 512)
    assert model.blocks[0].multipathway_fusion.conv_fast_to_slow.kernel_size == (5, 1, 1)
    assert model.blocks[-1].dropout.p == 0.1


def test_base_files_lie_below_and_pairs_on_top(tmp_path):
    (tmp_path / "below").mkdir()
    write(tmp_path / "below", CONFIGS["Kinetics/X3D_XS"], "x3d.yaml")
    path = tmp_path / "mine.yaml"
    path.write_text("_BASE_: below/x3d.yaml\nSOLVER:\n  MAX_EPOCH: 12\n  WARMUP_EPOCHS: 2\n")
    config = from_config(path, ["SOLVER.MAX_EPOCH", "15", "SOLVER.BASE_LR", "5e-2"])
    assert (config.recipe.epochs, config.recipe.warmup_epochs) == (15, 2.0)
    assert config.recipe.base_lr == 0.05
    assert config.recipe.weight_decay == 5e-5  # of the base
    assert config.entry.name == "mine"


def test_yaml_reads_1e_4_as_text_and_a_config_as_a_number(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(zoo_config("x3d_xs")).replace("BASE_LR: 0.1", "BASE_LR: 1e-1"))
    assert from_config(path).recipe.base_lr == 0.1


def test_keys_without_effect_are_listed_once(tmp_path):
    tree = {**CONFIGS["Kinetics/X3D_XS"], "TENSORBOARD": {"LOG_DIR": "here"}, "LOG_PERIOD": 3}
    path = write(tmp_path, tree)
    ignored = from_config(path, ["LOG_PERIOD", 5, "LOG_PERIOD", 7]).ignored
    assert sorted(ignored) == [
        "LOG_PERIOD = 7",
        "RESNET.ZERO_INIT_FINAL_BN = True",  # PyTorchVideo's models always begin so
        "TENSORBOARD.LOG_DIR = here",
    ]


UNSUPPORTED = [
    (["MODEL.MODEL_NAME", "SlowFast"], "MODEL.MODEL_NAME", "PTVX3D"),
    (["MODEL.MODEL_NAME", "PTVMViT"], "MODEL.MODEL_NAME", "PTVX3D"),
    (["MODEL.ARCH", "slowfast"], "MODEL.ARCH", "x3d"),
    (["BN.NORM_TYPE", "sub_batchnorm"], "BN.NORM_TYPE", "sync_batchnorm"),
    (["DETECTION.ENABLE", "True"], "DETECTION.ENABLE", "False"),
    (["MULTIGRID.SHORT_CYCLE", True], "MULTIGRID.SHORT_CYCLE", "False"),
    (["AUG.ENABLE", True], "AUG.ENABLE", "False"),
    (["X3D.BN_LIN5", True], "X3D.BN_LIN5", "False"),
    (["RESNET.STRIDE_1X1", True], "RESNET.STRIDE_1X1", "False"),
    (["TRAIN.DATASET", "kinetics"], "TRAIN.DATASET", "ptvkinetics"),
    (["TEST.DATASET", "ptvssv2"], "TEST.DATASET", "ptvkinetics"),
    (["MODEL.LOSS_FUNC", "bce"], "MODEL.LOSS_FUNC", "cross_entropy"),
    (["SOLVER.OPTIMIZING_METHOD", "lamb"], "SOLVER.OPTIMIZING_METHOD", "sgd"),
    (["SOLVER.LR_POLICY", "linear"], "SOLVER.LR_POLICY", "cosine"),
    (["DATA.TEST_CROP_SIZE", 200], "DATA.TEST_CROP_SIZE", "182"),
    (["DATA.TEST_CROP_SIZE", 100], "DATA.TEST_CROP_SIZE", "160"),
    (["DATA.INPUT_CHANNEL_NUM", "[1]"], "DATA.INPUT_CHANNEL_NUM", "[3]"),
    (["MODEL.HEAD_ACT", "relu"], "MODEL.HEAD_ACT", "softmax"),
]


@pytest.mark.parametrize(
    ("opts", "key", "expected"), UNSUPPORTED, ids=lambda value: str(value)[:40]
)
def test_a_value_that_is_not_supported_is_an_error_that_says_so(tmp_path, opts, key, expected):
    path = write(tmp_path, CONFIGS["Kinetics/X3D_XS"])
    with pytest.raises(ConfigError) as caught:
        from_config(path, opts)
    assert key in caught.value.what
    assert expected in caught.value.expected
    assert caught.value.found.startswith(repr(yaml.safe_load(str(opts[1]))))


@pytest.mark.parametrize(
    ("opts", "words"),
    [
        (["RESNET.NUM_BLOCK_TEMP_KERNEL", "[[9, 9], [4, 4], [6, 6], [3, 3]]"], "TEMP_KERNEL"),
        (["RESNET.NUM_BLOCK_TEMP_KERNEL", "[[3, 2], [4, 4], [6, 6], [3, 3]]"], "TEMP_KERNEL"),
        (["RESNET.NUM_BLOCK_TEMP_KERNEL", "[[3, 3]]"], "TEMP_KERNEL"),
        (["RESNET.DEPTH", 18], "RESNET.DEPTH"),
        (["RESNET.SPATIAL_STRIDES", "[[1], [2], [2], [2]]"], "SPATIAL_STRIDES"),
        (["SLOWFAST.ALPHA", 5], "SLOWFAST.ALPHA"),
        (["SLOWFAST.FUSION_KERNEL_SZ", 4], "FUSION_KERNEL_SZ"),
        (["DATA.TRAIN_CROP_SIZE", 200], "TRAIN_CROP_SIZE"),
        (["MODEL.DROPOUT_RATE", 1.5], "do not fit"),
        (["MODEL.NUM_CLASSES", 0], "do not fit"),
        (["SOLVER.BASE_LR", -1], "do not fit"),
        (["SOLVER.COSINE_END_LR", 2.0], "do not fit"),
        (["DATA.MEAN", "[0.45]"], "do not fit"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_values_of_a_slowfast_that_cannot_be_built(tmp_path, opts, words):
    path = write(tmp_path, CONFIGS["Kinetics/SLOWFAST_8x8_R50"])
    with pytest.raises(ConfigError, match=words):
        from_config(path, opts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1\n- 2\n", "not YAML with sections"),
        ("MODEL: {ARCH: [\n", "not YAML"),
        ("MODEL: {ARHC: x3d}\n", "no key 'MODEL.ARHC'"),
        ("MODEL: 3\n", "MODEL is a section"),
        ("_BASE_: missing.yaml\n", "cannot be read"),
        ("_BASE_: config.yaml\n", "leads back"),
        ("MODEL: {NUM_CLASSES: many}\n", "is not a whole number"),
        ("MODEL: {NUM_CLASSES: 4.5}\n", "is not a whole number"),
        ("TRAIN: {MIXED_PRECISION: 1}\n", "is not True or False"),
        ("SOLVER: {BASE_LR: true}\n", "is not a number"),
        ("SOLVER: {CLIP_GRAD_VAL: much}\n", "is not a number"),
        ("DATA: {MEAN: 0.45}\n", "is not a list"),
        ("DATA: {TRAIN_JITTER_SCALES: [32, x]}\n", "is not a list of numbers"),
        ("DATA: {INPUT_CHANNEL_NUM: [[true]]}\n", "is not a list of numbers"),
        ("MODEL: {SINGLE_PATHWAY_ARCH: [1]}\n", "is not a list of texts"),
        ("RESNET: {NUM_BLOCK_TEMP_KERNEL: [3]}\n", "is not a list of lists of numbers"),
        ("DATA: {MEAN: [[0.45]]}\n", "is not a list of numbers"),
        ("", "MODEL.MODEL_NAME"),
    ],
)
def test_a_file_that_is_no_config(tmp_path, text, words):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        from_config(path)


def test_a_misspelt_key_is_answered_with_its_neighbours(tmp_path):
    path = write(tmp_path, CONFIGS["Kinetics/X3D_XS"])
    with pytest.raises(ConfigError, match=r"SOLVER\.BASE_LR"):
        from_config(path, ["SOLVER.BASE_LRR", 0.1])


def test_a_key_without_a_value_is_misuse(tmp_path):
    path = write(tmp_path, CONFIGS["Kinetics/X3D_XS"])
    with pytest.raises(UsageError, match="no value"):
        from_config(path, ["SOLVER.BASE_LR"])


@pytest.mark.parametrize(
    ("name", "reverse", "order"),
    [
        ("Kinetics/X3D_XS", False, "rgb"),
        ("Kinetics/X3D_XS", True, "bgr"),
        ("SSv2/SLOW_8x8_R50", True, "rgb"),
        ("SSv2/SLOW_8x8_R50", False, "bgr"),
    ],
)
def test_colours_are_what_the_network_sees(tmp_path, name, reverse, order):
    path = write(tmp_path, CONFIGS[name])
    assert (
        from_config(path, ["DATA.REVERSE_INPUT_CHANNEL", reverse]).entry.input.channel_order
        == order
    )


def test_the_defaults_hold_every_key_of_the_zoos_configs():
    known = defaults()
    assert (known["SOLVER.BASE_LR"], known["SOLVER.MAX_EPOCH"], known["BN.WEIGHT_DECAY"]) == (
        *(0.1, 300),
        0.0,
    )
    assert known["DATA.TRAIN_JITTER_SCALES"] == [256, 320]
    used = {key for tree in CONFIGS.values() for key in flat(tree)}
    assert used <= set(known)


def test_the_recipes_defaults_are_pyslowfasts(tmp_path):
    tree = {"MODEL": {"MODEL_NAME": "PTVSlowFast"}, "RESNET": {}}
    tree["TRAIN"] = tree["TEST"] = {"DATASET": "ptvkinetics"}
    tree["RESNET"] = CONFIGS["Kinetics/SLOWFAST_8x8_R50"]["RESNET"]
    assert from_config(write(tmp_path, tree)).recipe == Recipe()


GOLDEN = json.loads((DATA / "training.json").read_text())["learning_rate"]


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_learning_rates_are_pyslowfasts(name):
    recipe = recipe_of(entry(name))
    for epoch, expected in GOLDEN[name]:
        assert learning_rate(recipe, epoch) == pytest.approx(expected, rel=1e-9, abs=0)


def test_learning_rates_scale_with_shards_where_asked():
    recipe = Recipe(warmup_epochs=5, end_lr=1e-3, scale_lr_by_shards=True)
    for epoch in (0, 2.5, 5, 100, 299.5):
        scaled = learning_rate(recipe.for_shards(4), epoch)
        assert scaled == pytest.approx(4 * learning_rate(recipe, epoch), rel=1e-12)
    plain = recipe.model_copy(update={"scale_lr_by_shards": False})
    assert learning_rate(plain.for_shards(4), 7) == learning_rate(plain, 7)


def test_steps_and_a_cosine_after_warm_up():
    steps = Recipe(
        policy="steps_with_relative_lrs", steps=(0, 10, 20), relative_lrs=(1, 0.1, 0.01), epochs=30
    )
    rates = [learning_rate(steps, epoch) for epoch in (0, 9.99, 10, 19, 20, 29.9)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    late = Recipe(epochs=20, warmup_epochs=10, cosine_after_warmup=True)
    assert learning_rate(late, 10) == pytest.approx(0.1)
    assert learning_rate(late, 15) == pytest.approx(0.05)
    assert learning_rate(late, 5) == pytest.approx((0.01 + 0.1) / 2)


# PySlowFast's own networks


NATIVE = {
    "c2d_r50": "Kinetics/C2D_8x8_R50",
    "c2d_nopool_r50": "Kinetics/C2D_NOPOOL_8x8_R50",
    "i3d_r101": "Kinetics/I3D_8x8_R101",
    "slow_r50": "Kinetics/SLOW_8x8_R50",
    "slowfast_16x8_r101_50_50": "Kinetics/SLOWFAST_16x8_R101_50_50",
    "x3d_l": "Kinetics/X3D_L",
    "slowfast_16x8_r50_ssv2": "SSv2/SLOWFAST_16x8_R50",
    "slowfast_r50_charades": "Charades/SLOWFAST_8x8_R50",
    "mvit_base_16x4_native": "Kinetics/MVIT_B_16x4_CONV",
    "mvit_base_24_32x3_native": "Kinetics/MVIT_B_32x3_CONV",
}


@pytest.mark.parametrize(("name", "theirs"), NATIVE.items())
def test_a_native_config_states_the_network_that_its_owner_built(name, theirs):
    known = draw_other.facts("native", theirs)
    item = find(name)
    config = Config(entry=item, recipe=Recipe(loss="cross_entropy"), paths=Paths())
    written = {**defaults(), **flat(yaml.safe_load(to_native_yaml(config)))}
    stated = {
        "MODEL.ARCH": known["arch"],
        "MODEL.MODEL_NAME": known["model"],
        "MODEL.NUM_CLASSES": known["num_classes"],
        "MODEL.HEAD_ACT": known["head_activation"],
        "DATA.NUM_FRAMES": known["num_frames"],
        "DATA.SAMPLING_RATE": known["sampling_rate"],
        "DATA.TRAIN_CROP_SIZE": known["train_crop"],
        "DATA.TEST_CROP_SIZE": known["test_crop"],
        "TRAIN.DATASET": theirs.split("/")[0].lower(),
    }
    assert {key: written[key] for key in stated} == stated
    if known["model"] == "MViT":
        assert written["MVIT.DEPTH"] == known["depth"]
    elif known["model"] != "X3D":
        assert written["RESNET.DEPTH"] == known["depth"]
    assert written["DATA.REVERSE_INPUT_CHANNEL"] is (not theirs.startswith("Kinetics"))


def test_a_native_transformer_is_that_of_its_owners_config():
    """Its keys at 287ec007; PySlowFast's own code built it and gave the golden scores exactly."""
    config = Config(
        entry=find("mvit_base_16x4_native"), recipe=Recipe(loss="cross_entropy"), paths=Paths()
    )
    written = yaml.safe_load(to_native_yaml(config))
    assert written["MVIT"] == {
        "PATCH_PADDING": [1, 3, 3],
        "SEP_POS_EMBED": True,
        "DIM_MUL": [[1, 2.0], [3, 2.0], [14, 2.0]],
        "HEAD_MUL": [[1, 2.0], [3, 2.0], [14, 2.0]],
        "POOL_Q_STRIDE": [[1, 1, 2, 2], [3, 1, 2, 2], [14, 1, 2, 2]],
        "POOL_KV_STRIDE_ADAPTIVE": [1, 8, 8],
        "POOL_KVQ_KERNEL": [3, 3, 3],
    }
    assert written["DATA"]["USE_OFFSET_SAMPLING"] is True
    hubs = config.model_copy(update={"entry": find("mvit_base_16x4")})
    assert "epsilon 1e-06" in to_native_yaml(hubs).splitlines()[0]
    assert not to_native_yaml(config).startswith("#")


@pytest.mark.parametrize("name", ["csn_r101", "r2plus1d_r50", "slowfast_r50_8x8_steplr"])
def test_what_pyslowfast_cannot_build_itself_has_no_native_config(name):
    config = Config(entry=find(name), recipe=Recipe(loss="cross_entropy"), paths=Paths())
    with pytest.raises(ConfigError, match="no network of its own"):
        to_native_yaml(config)
    nopool = Config(
        entry=find("c2d_nopool_r50"), recipe=Recipe(loss="cross_entropy"), paths=Paths()
    )
    with pytest.raises(ConfigError, match="wrapper has no such network"):
        to_yaml(nopool)
