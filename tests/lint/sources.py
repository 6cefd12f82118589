"""sources: what the lints share: which files there are, and C text without its comments and strings."""
import os
import re
import subprocess
import sys

PRUNED = {".git", "build", "node_modules", "__pycache__", ".cache"}


def root_from_arguments():
    """The project's folder: the first argument, or two folders above this file."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(here))


def project_files(root):
    """Paths of the project's own files, relative to root: as git sees them, or all there are where git does not help."""
    git = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, capture_output=True, check=True, timeout=30).stdout.decode().split("\0")
        found = [path for path in listed if path and os.path.isfile(os.path.join(root, path))]
        if found:
            return sorted(found)
    except (OSError, subprocess.SubprocessError):
        pass
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in PRUNED]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """C with comments and the inside of literals blanked out; line numbers stay."""

    def blank(match):
        found = match.group(0)
        if found[0] == "/":
            return re.sub(r"[^\n]", " ", found)
        return found[0] + re.sub(r"[^\n]", " ", found[1:-1]) + found[-1]

    return TOKEN.sub(blank, text)


def finish(faults, what):
    """Print the faults as `path:line: text` and end with the status that ctest looks at."""
    for fault in faults:
        print(fault)
    print(f"{what}: {len(faults)} faults" if faults else f"{what}: clean")
    sys.exit(1 if faults else 0)
