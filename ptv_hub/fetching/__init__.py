"""Where weights come from: an entry's files -> one verified local path.

The files of an entry are tried in order of preference; the cache answers first. Bytes are
hashed while they arrive and stand in the cache only when they are whole and right.
"""
