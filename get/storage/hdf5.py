"""HDF5 files: opened without locks, their datasets checked before they are read."""

import errno
import os
import resource
from pathlib import Path
from typing import Any

import h5py

HEADERS = 2**15  # bytes of a file beside its content, at most


def open_hdf5(path: str | Path) -> h5py.File:
    """Open an HDF5 file to read it, without the locks of the HDF5 library.

    They fail on some file systems (NFS, Lustre), and no file needs them here: what is read was given its name
    when it was whole, and what is written has a name that no other process knows.
    """
    return h5py.File(path, "r", locking=False)


def new_hdf5(path: str | Path, content: int) -> h5py.File:
    """Open a new HDF5 file, likewise, for about so many bytes of content.

    Raises:
        OSError: they are more than the system lets a file have, at which HDF5 itself would crash.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and content + HEADERS > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return h5py.File(path, "w", locking=False)


def dataset(file: h5py.File, name: str, dtype: Any, ndim: int) -> h5py.Dataset:
    """Return a dataset of `file`, which must be of this type and lie in the file as it is.

    A compressed dataset, or one that was not written yet, could unfold without end; an external one names
    another file. Rows are also read at their offsets in this file, past HDF5 (`pairs.dataset`).

    Raises:
        ValueError: it is another one.
    """
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.file.filename != file.filename:
        raise ValueError(f"{name} is no dataset of this file")
    if found.dtype != dtype or found.ndim != ndim:
        raise ValueError(f"{name} has type {found.dtype} and {found.ndim} dimensions")
    offset = found.id.get_offset()
    if offset is None or offset + found.nbytes > Path(file.filename).stat().st_size:
        raise ValueError(f"{name} does not lie in the file")
    return found
