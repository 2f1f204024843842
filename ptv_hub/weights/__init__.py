"""A file <-> a state dict <-> a layout <-> a model with weights."""
