"""The cache: where fetched files lie, what is known of their bytes, and who vouches for it."""

from ptv_hub.fetching.cache.contents import (
    CachedFile,
    cached_files,
    clean,
    damaged,
    is_as_hashed,
    leftovers,
    look_up,
    remove,
)
from ptv_hub.fetching.cache.pinned import Pin, forget, pin_of, pins, record
from ptv_hub.fetching.cache.places import CACHE_VARIABLE, PART_SUFFIX, folder, key, location, locked
from ptv_hub.fetching.cache.vouching import (
    LOCK_VARIABLE,
    Expectation,
    LockedFile,
    LockFile,
    expectation,
    lockable,
    read_lock,
    write_lock,
)

__all__ = [
    "CACHE_VARIABLE",
    "LOCK_VARIABLE",
    "PART_SUFFIX",
    "CachedFile",
    "Expectation",
    "LockFile",
    "LockedFile",
    "Pin",
    "cached_files",
    "clean",
    "damaged",
    "expectation",
    "folder",
    "forget",
    "is_as_hashed",
    "key",
    "leftovers",
    "location",
    "lockable",
    "locked",
    "look_up",
    "pin_of",
    "pins",
    "read_lock",
    "record",
    "remove",
    "write_lock",
]
