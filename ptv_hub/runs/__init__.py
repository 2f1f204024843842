"""Many videos, restartable, on one process or many: decoded ahead, shared out, recorded."""
