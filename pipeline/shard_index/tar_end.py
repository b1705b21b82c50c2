"""Whether a tar is whole."""

import tarfile

END = bytes(tarfile.BLOCKSIZE)
"""What follows the last member of a whole tar, twice."""


def ends_whole(tar: tarfile.TarFile) -> bool:
    """Return whether a tar whose members were all listed goes on to its end.

    Python's `tarfile` takes one that was cut between two members for whole.
    """
    stream = tar.fileobj
    assert stream is not None, "an open tar"
    stream.seek(tar.offset)
    return stream.read(len(END)) == END
