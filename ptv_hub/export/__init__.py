"""A model -> a file for another engine: ONNX, torch.export, OpenVINO.

What was written is run by its own engine and compared with the model before it appears under
its name; a file that gives other scores is an error and is not left behind.
"""

from ptv_hub.export.formats import FORMATS, METADATA_FILE
from ptv_hub.export.graph import Options
from ptv_hub.export.run import Exported, export

__all__ = ["FORMATS", "METADATA_FILE", "Exported", "Options", "export"]
