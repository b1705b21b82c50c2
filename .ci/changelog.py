"""Fails when code changed and CHANGELOG.md did not. `make check` and the commit-msg hook run it.

Code is what lies under pipeline/, stages/ and trainers/. Every commit since CHANGELOG.md was last
changed that touches code must say `no-changelog` in its message, and uncommitted changes of code
need a line in CHANGELOG.md. So several commits may share one line that the last of them adds; what
no user notices (a move, a comment) says `no-changelog`.

    python .ci/changelog.py                  the history and the working tree
    python .ci/changelog.py MESSAGE_FILE     the commit that is being made
"""

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


def unlisted_commits() -> list[str]:
    """Return `hash subject` of every commit that lacks a line."""
    last = git("log", "-1", "--format=%H", "--", CHANGELOG).strip()
    since = f"{last}..HEAD" if last else "HEAD"
    log = git("log", "--no-merges", "--format=%h%x1f%B%x1e", since, "--", *CODE)
    commits = [entry.strip().split("\x1f", 1) for entry in log.split("\x1e") if entry.strip()]
    return [f"{name} {text.splitlines()[0]}" for name, text in commits if EXEMPT not in text]


def lacks_a_line(changed: str) -> bool:
    """Return whether changed paths, one per line, have code among them and no CHANGELOG.md."""
    paths = [path.strip('"') for path in changed.splitlines()]
    code = any(path.split("/")[0] in CODE for path in paths)
    return code and CHANGELOG not in paths


def faults(message: Path | None) -> list[str]:
    """Return what lacks a line: the commit that is being made, or the history and the tree."""
    if message is not None:
        exempt = EXEMPT in message.read_text(encoding="utf-8")
        staged = git("diff", "--cached", "--name-only")
        return ["this commit"] if lacks_a_line(staged) and not exempt else []
    tree = git("diff", "HEAD", "--name-only") + git("ls-files", "--others", "--exclude-standard")
    return unlisted_commits() + (["uncommitted change of code"] if lacks_a_line(tree) else [])


def main(arguments: list[str]) -> int:
    """Print what lacks a line; return the exit code."""
    if subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, check=False).returncode:
        sys.stdout.write("changelog: no git history here, nothing to check\n")
        return 0
    found = faults(Path(arguments[0]) if arguments else None)
    for fault in found:
        sys.stderr.write(f"changelog: {fault}: no line in {CHANGELOG}\n")
    if found:
        sys.stderr.write(f"changelog: {FIX}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
