"""Says that this machine's Ray has died where Ray's own client ends this process without a word.

A process that finds its raylet dead when it writes to it is ended by Ray with exit code 1; no
exception, no handler and no `finally` runs. So a small process of its own holds a pipe to this one:
if the pipe ends without a goodbye and Ray does not answer, it says what happened, and ends.
"""

import atexit
import subprocess
import sys
from collections.abc import Sequence

RAY_DIED = (
    "Ray on this machine has died (killed, or no memory left for it); finished items are cached: "
    "run again to go on"
)
GOODBYE = b"."
_MOURNER = """
import os, socket, sys
if not sys.stdin.buffer.read():
    for port in sys.argv[2:]:
        try:
            socket.create_connection(("127.0.0.1", int(port)), 1.0).close()
        except OSError:
            os.write(2, f"error: {sys.argv[1]}\\n".encode())
            break
"""


class Obituary:
    """Stands by while this process uses Ray."""

    def __init__(self, ports: Sequence[int]) -> None:
        """Args: what answers on this machine while its Ray is well."""
        command = [sys.executable, "-I", "-S", "-c", _MOURNER, RAY_DIED, *map(str, ports)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        atexit.register(self.cancel)

    def cancel(self) -> None:
        """Say that this process ends by itself."""
        atexit.unregister(self.cancel)
        self.process.communicate(GOODBYE)
