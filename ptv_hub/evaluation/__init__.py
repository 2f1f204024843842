"""Model + items + protocol -> result: restartable, on one process or many.

``evaluate`` is the whole of it; it knows nothing of where the weights came from.
"""
