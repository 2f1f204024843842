"""A data set before its use: is it whole and decodable; frames as its owners extracted them."""

from ptv_hub.preparation.check import CheckedVideo, DataCheck, check, write_usable
from ptv_hub.preparation.extract import Extracted, extract

__all__ = ["CheckedVideo", "DataCheck", "Extracted", "check", "extract", "write_usable"]
