"""Training and fine-tuning with PySlowFast's recipes, on Lightning Fabric (the extra ``train``).

source = read_source(entry("x3d_xs"), "videos/", num_classes="auto")
config = finetuning(source.entry, output="run", opts=["SOLVER.MAX_EPOCH", 20])
train(config, source, weights="X3D_XS.pyth")
"""
