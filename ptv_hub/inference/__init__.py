"""A video -> the views of a protocol -> scores and features."""
