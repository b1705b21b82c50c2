"""Runs a command and writes what it cost: python launcher.py OUT.json COMMAND...

A small process of its own: Linux counts the memory of whoever starts a command as the command's
until it replaces it, so started by a large process every command would have a large peak.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run the command; write wall and CPU seconds, peak in 10^6 bytes and exit code."""
    out, *command = sys.argv[1:]
    started_s = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(pid, 0)
    found = {
        "wall_s": time.monotonic() - started_s,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss * 1024 / 1e6,
    }
    with open(out, "w", encoding="utf-8") as stream:  # noqa: PTH123 - no import that is not needed
        json.dump(found, stream)
    sys.exit(max(0, os.waitstatus_to_exitcode(status)) or (1 if status else 0))


if __name__ == "__main__":
    main()
