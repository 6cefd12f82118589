#!/usr/bin/env python3
"""Text: no file of the project names a package registry's host or a folder of the machine it was written on.

Packages come through apt and npm as the machine has them configured; a path that holds on one machine holds on no other.
Also: no tabs in C, no blanks at line ends, and each file ends with a line end.
"""
import os
import re

from sources import finish, project_files, read, root_from_arguments

HOSTS = re.compile(r"\b(?:[\w-]+\.)*(?:debian\.(?:org|net)|ubuntu\.com|npmjs\.(?:org|com)|pypi\.org|pythonhosted\.org|crates\.io|"
                   r"golang\.org|rubygems\.org|docker\.io|yarnpkg\.com)\b")
PATHS = re.compile(r"(?<![\w.}*)/-])/(?:root|home/[\w-]+|Users/[\w-]+|work|opt/[\w-]+)/[\w.-]")
BINARY = re.compile(r"\.(?:png|ico|gz|bin|der|p12|woff2)$")


def check(path, text, own_folders, faults):
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{path}:{number}"
        if HOSTS.search(line):
            faults.append(f"{where}: names the host {HOSTS.search(line).group(0)}")
        if PATHS.search(line) or any(folder in line for folder in own_folders):
            faults.append(f"{where}: names a folder of one machine")
        if line != line.rstrip() and not path.endswith(".md"):
            faults.append(f"{where}: blanks at the end of the line")
        if path.endswith((".c", ".h")) and "\t" in line:
            faults.append(f"{where}: a tab")
    if text and not text.endswith("\n"):
        faults.append(f"{path}:{text.count(chr(10)) + 1}: no line end at the end of the file")


def main():
    root = root_from_arguments()
    own = [folder + "/" for folder in {root, os.path.realpath(root), os.path.expanduser("~")} if folder.count("/") > 1]
    faults = []
    for path in project_files(root):
        if not BINARY.search(path) and not path.startswith("tests/fuzz/corpus/"):
            text = read(root, path)
            if "\0" not in text:
                check(path, text, own, faults)
    finish(faults, "text")


if __name__ == "__main__":
    main()
