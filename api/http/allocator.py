"""What the C library does with memory that a long process gives back."""

import ctypes
import sys

_M_MMAP_THRESHOLD = -3
LARGE = 12 * 2**20  # bytes; Pillow unpacks into blocks of 16 MB


def return_large_blocks() -> None:
    """Have large blocks given back to the system as soon as they are free. Where the C library is not glibc, nothing.

    glibc does so too, until the first of them is freed; after that it keeps blocks of up to 32 MB, for each thread its
    own. Sixteen threads that unpacked one picture of 40 megapixels each then held 2.5 GB for good, and now 60 MB. The
    price is that memory is new each time: to unpack 2.6 megapixels takes 27 ms of a core instead of 18.
    """
    if not sys.platform.startswith("linux"):
        return
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, LARGE)
