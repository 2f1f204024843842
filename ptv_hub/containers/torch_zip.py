"""What ``torch.save`` puts into a zip archive: a pickle, and each storage as a member."""

from __future__ import annotations

from ptv_hub.containers.archive import Archive, Member
from ptv_hub.containers.bounds import PICKLE_BYTES, require_size, shown
from ptv_hub.errors import CheckpointError, UnreadableFile


def pickle_in(archive: Archive) -> bytes:
    """The pickle, as its checksum says.

    Raises:
        UnreadableFile: there is none, it is damaged or too large, or the numbers beside it are
            not as we read them.
        CheckpointError: a TorchScript program.
    """
    root, members = archive.root, archive.members
    if f"{root}/constants.pkl" in members:
        raise CheckpointError(
            "a TorchScript program, not a checkpoint",
            where=archive.path,
            expected="a state dict",
            fix="save the model's state_dict() instead",
        )
    found = members.get(f"{root}/data.pkl")
    if found is None:
        raise UnreadableFile(
            "a weights file is truncated or damaged: no checkpoint in the archive",
            where=archive.path,
            expected=f"a member {shown(root + '/data.pkl')}",
            found=", ".join(shown(name) for name in list(members)[:3]) or "no members",
            fix="fetch or copy it again",
        )
    order = members.get(f"{root}/byteorder")
    if order is not None and (order.size > 10 or archive.read(order) != b"little"):
        raise UnreadableFile(
            "a weights file's numbers are not in the order of bytes of this machine",
            where=archive.path,
            expected="little-endian",
            fix="load it where it was made, and save it as safetensors",
        )
    require_size("bytes of its pickle", found.size, PICKLE_BYTES, archive.path)
    return archive.read(found)


def storage_in(archive: Archive, key: str, size: int) -> Member:
    """The member that holds a storage of so many bytes.

    Raises:
        UnreadableFile: it is not there, or of another length.
    """
    member = archive.members.get(f"{archive.root}/data/{key}")
    if member is None or member.size != size:
        raise UnreadableFile(
            "a weights file is truncated or damaged: a storage is not there, or not as long",
            where=archive.path,
            expected=f"{size:,} bytes under {shown('data/' + key)}",
            found="no such member" if member is None else f"{member.size:,} bytes",
            fix="fetch or copy it again",
        )
    return member
