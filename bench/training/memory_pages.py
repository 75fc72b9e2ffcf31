"""Keep the pages of freed memory in the process.

glibc gives memory of more than some hundred kilobytes back to the system when it is freed, and
takes it anew, page by page, at the next step: thousands of page faults a step.
"""

from __future__ import annotations

import ctypes
import functools

#: Of ``mallopt``: from which size on a block is a mapping of its own, and how much free memory at
#: the end of the heap is given back. The largest values that are allowed.
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_LARGEST_BLOCK, _LARGEST_REST = 1 << 30, 2**31 - 1


@functools.cache
def keep_pages() -> bool:
    """Let the allocator of this process keep what is freed. Once a process.

    Returns:
        Whether it does; not with another C library than glibc.
    """
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return False
    return bool(
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
        and library.mallopt(_M_TRIM_THRESHOLD, _LARGEST_REST)
    )
