"""Fails when code changed and CHANGELOG.md did not. `make check` and the commit-msg hook run it.

Code is what lies under pipeline/, stages/ and trainers/. Every commit since CHANGELOG.md was last
changed that touches code must say `no-changelog` in its message, and uncommitted changes of code
need a line in CHANGELOG.md. So several commits may share one line that the last of them adds; what
no user notices (a move, a comment) says `no-changelog`.

    python .ci/changelog.py                  the history and the working tree
    python .ci/changelog.py MESSAGE_FILE     the commit that is being made
"""

import os
import re
import subprocess
import sys
from pathlib import Path

CODE = ("pipeline", "stages", "trainers")
CHANGELOG = "CHANGELOG.md"
EXEMPT = "no-changelog"
FIX = f"add a line to {CHANGELOG}, or write `{EXEMPT}` into the message of the commit"


def git(*arguments: str) -> str:
    """Return what git prints; raises CalledProcessError where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def is_listed(*revisions: str) -> bool:
    """Return whether a line that is not blank was added to CHANGELOG.md between revisions."""
    added = git("diff", "--unified=0", "--no-renames", *revisions, "--", CHANGELOG).splitlines()
    return any(line[1:].strip() for line in added if line[:1] == "+" and line[:3] != "+++")


def is_exempt(message: str) -> bool:
    """Return whether a line of a message begins with `no-changelog`, or has it in brackets."""
    text = message.partition("\n# ------------------------ >8")[0]
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return any(re.search(rf"^{EXEMPT}\b|[\[(]{EXEMPT}[\])]", line.strip()) for line in lines)


def unlisted_commits() -> list[str]:
    """Return `hash subject` of every commit, merges included, that lacks a line."""
    last = git("log", "-1", "--no-merges", "--format=%H", "--", CHANGELOG).strip()
    since = f"{last}..HEAD" if last else "HEAD"
    options = ("--diff-merges=dense-combined", "--no-renames", "--name-only")
    log = git("log", *options, "--format=%x1e%h%x1f%B%x1f", since)
    found = []
    for entry in log.split("\x1e")[1:]:
        name, message, paths = entry.split("\x1f")
        if touches_code(paths) and not is_exempt(message):
            found.append(f"{name} {(message.splitlines() or ['(no message)'])[0]}")
    return found


def touches_code(changed: str) -> bool:
    """Return whether one of the changed paths, one per line, is code."""
    return any(path.strip('"').split("/")[0] in CODE for path in changed.splitlines())


def faults(message: Path | None) -> list[str]:
    """Return what lacks a line: the commit that is being made, or the history and the tree."""
    if message is not None:
        staged = git("diff", "--cached", "--no-renames", "--name-only")
        listed = is_listed("--cached") or is_exempt(message.read_text(encoding="utf-8"))
        return ["this commit"] if touches_code(staged) and not listed else []
    tree = git("diff", "HEAD", "--no-renames", "--name-only")
    tree += git("ls-files", "--others", "--exclude-standard")
    uncommitted = touches_code(tree) and not is_listed("HEAD")
    return unlisted_commits() + (["uncommitted change of code"] if uncommitted else [])


def main(arguments: list[str]) -> int:
    """Print what lacks a line; return the exit code."""
    if subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, check=False).returncode:
        sys.stdout.write("changelog: no git history here, nothing to check\n")
        return 0
    message = Path(arguments[0]).absolute() if arguments else None
    os.chdir(git("rev-parse", "--show-toplevel").strip())
    found = faults(message)
    for fault in found:
        sys.stderr.write(f"changelog: {fault}: no line in {CHANGELOG}\n")
    if found:
        sys.stderr.write(f"changelog: {FIX}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
