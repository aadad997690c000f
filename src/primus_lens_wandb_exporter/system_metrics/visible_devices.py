"""Which GPUs this process may see, by the rules of the runtimes themselves.

Everything here works on texts and positions; nothing is opened. A list ends at its first invalid entry, in every
runtime: what comes after it is hidden.
"""

from typing import List, Mapping, Optional, Sequence, Union

# An entry of CUDA_VISIBLE_DEVICES: an index, or the beginning of a GPU-… or MIG-… name.
CudaEntry = Union[int, str]


def parse_cuda_list(text: Optional[str]) -> Optional[List[CudaEntry]]:
    """The entries of CUDA_VISIBLE_DEVICES up to the first invalid one; None if it is not set, so that all are visible.

    CUDA programming guide, "CUDA Environment Variables": indices or UUIDs, abbreviated UUIDs allowed, an invalid index
    hides what follows. What the guide leaves open (``1gpu2`` is 1, an entry given twice hides everything, the first
    entry decides between indices, GPU- and MIG- names) is as PyTorch found it: ``torch.cuda._parse_visible_devices``.
    """
    if text is None:
        return None
    texts = [entry.strip() for entry in text.split(",")]
    entries: List[CudaEntry] = []
    for prefix in ("GPU-", "MIG-"):
        if texts[0].startswith(prefix):
            for name in texts:
                if not name.startswith(prefix):
                    break
                if name in entries:
                    return []
                entries.append(name)
            return entries
    for digits in texts:
        index = _leading_number(digits)
        if index < 0:
            break
        if index in entries:
            return []
        entries.append(index)
    return entries


def _leading_number(text: str) -> int:
    """What C's strtoul reads, -1 where it reads nothing or a negative number."""
    if text.startswith("+"):
        text = text[1:]
    length = 0
    while length < len(text) and text[length] in "0123456789":
        length += 1
    return int(text[:length]) if length else -1


def find_by_prefix(name: str, names: Sequence[str]) -> Optional[int]:
    """The position of the only one of ``names`` that begins with ``name``; None for none or several."""
    matches = [place for place, candidate in enumerate(names) if candidate.lower().startswith(name.lower())]
    return matches[0] if len(matches) == 1 else None


def amd_visible(environ: Mapping[str, str], unique_ids: Sequence[int]) -> List[int]:
    """The positions of the AMD GPUs that HIP shows, in HIP's order.

    ``unique_ids`` are the GPUs' ids in the kernel's order, 0 where a GPU has none. ROCR_VISIBLE_DEVICES filters first;
    HIP_VISIBLE_DEVICES, or else CUDA_VISIBLE_DEVICES, indexes into what that left.
    """
    rocr = environ.get("ROCR_VISIBLE_DEVICES")
    visible = list(range(len(unique_ids))) if rocr is None else _rocr_visible(rocr, unique_ids)
    hip = environ.get("HIP_VISIBLE_DEVICES")
    if not hip:
        # An empty HIP_VISIBLE_DEVICES leaves the word to CUDA_VISIBLE_DEVICES.
        hip = environ.get("CUDA_VISIBLE_DEVICES", hip)
    if hip is None:
        return visible
    return [visible[place] for place in _hip_visible(hip, [unique_ids[place] for place in visible])]


def _rocr_visible(text: str, unique_ids: Sequence[int]) -> List[int]:
    """ROCR_VISIBLE_DEVICES, as ROCR-Runtime reads it (``amd_filter_device.cpp``, class ``RvdFilter``).

    Indices (decimal, ``0x1``, ``01``) or the beginning of ``GPU-<16 hex digits>``, in any case; one that is unknown,
    ambiguous or given twice ends the list.
    """
    names = ["GPU-{:016x}".format(unique_id) if unique_id else "" for unique_id in unique_ids]
    visible: List[int] = []
    for entry in text.split(","):
        entry = entry.strip()
        if entry[:1] in ("G", "g"):
            place = find_by_prefix(entry, names) if len(entry) > 4 else None
        else:
            place = _c_number(entry)
        if place is None or not 0 <= place < len(unique_ids) or place in visible:
            break
        visible.append(place)
    return visible


def _c_number(text: str) -> Optional[int]:
    """What C's strtol reads with base 0, if it reads all of the text."""
    try:
        if len(text) > 1 and text[0] == "0" and text[1] not in "xX":
            return int(text, 8)
        return int(text, 16 if text[:2] in ("0x", "0X") else 10)
    except ValueError:
        return None


def _hip_visible(text: str, unique_ids: Sequence[int]) -> List[int]:
    """HIP_VISIBLE_DEVICES, as HIP reads it (ROCm/clr, ``rocdevice.cpp``, ``Device::init``).

    Indices as Python would print them (no spaces) or parts of ``GPU-<16 hex digits>``; one given twice is skipped, an
    unknown one ends the list. An empty value hides all GPUs from PyTorch, though not from HIP: it is PyTorch that
    training runs on.
    """
    names = ["GPU-{:016x}".format(unique_id) if unique_id else "GPU-XX" for unique_id in unique_ids]
    visible: List[int] = []
    for entry in text.split(","):
        if "GPU-" in entry:
            place = next((place for place, name in enumerate(names) if entry in name), -1)
        elif entry.isdecimal() and str(int(entry)) == entry:
            place = int(entry)
        else:
            place = -1
        if not 0 <= place < len(unique_ids):
            break
        if place not in visible:
            visible.append(place)
    return visible
