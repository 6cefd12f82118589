#!/usr/bin/env python3
"""Code: functions that are not used here, one writer of state, and functions that stay short.

- Banned calls: those that cannot be told how much room there is, or that hide errors; and the allocator outside
  protocol/mem.c, since memory that is not counted cannot be tested for. What the C library allocated goes back by free()
  with the comment "not ours" on that line.
- `->state =` stands at most once in a file: in the function that enters states (x_enter).
- A function of more than LONGEST lines is a fault; the longest ones are listed in any case.
"""
import re

from sources import code_only, finish, project_files, read, root_from_arguments

BANNED = {
    "strcpy": "use a length", "strcat": "use a length", "sprintf": "use snprintf", "vsprintf": "use vsnprintf",
    "gets": "use fgets", "strtok": "use protocol/span.h", "atoi": "hides errors", "atol": "hides errors",
    "atof": "hides errors", "alloca": "unbounded stack", "strncpy": "may leave no end", "strncat": "use a length",
    "rand": "predictable", "tmpnam": "race", "mktemp": "race", "setjmp": "hides the way out", "longjmp": "hides the way out",
}
ALLOCATOR = {name: "use protocol/mem.h" for name in "malloc calloc realloc reallocarray free strdup strndup asprintf".split()}
LONGEST = 80

CALL = re.compile(r"(?<![\w.>])([A-Za-z_]\w*)\s*\(")
STATE = re.compile(r"->\s*state\s*=(?!=)")


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def functions(code):
    """(first line, last line, name) of each function: a '{' in the first column after a line that ends with ')'."""
    start = None
    lines = code.split("\n")
    for number, line in enumerate(lines, 1):
        if line.startswith("{") and start is None:
            head, first = number - 1, number - 1
            while head > 0 and lines[head - 1].strip() and not lines[head - 1].rstrip().endswith((";", "}")):
                first, head = head, head - 1
            name = CALL.search(" ".join(lines[first - 1:number]))
            start = (first, name.group(1) if name else "?")
        elif line.startswith("}") and start is not None:
            yield start[0], number, start[1]
            start = None


def check(path, text, faults, sizes):
    code = code_only(text)
    in_tests = path.startswith(("tests/", "interop/"))
    banned = dict(BANNED)
    if not in_tests and path != "protocol/mem.c":
        banned.update(ALLOCATOR)
    for match in CALL.finditer(code):
        line = text.split("\n")[line_of(code, match.start()) - 1]
        if match.group(1) in banned and not (match.group(1) == "free" and "not ours */" in line):
            faults.append(f"{path}:{line_of(code, match.start())}: {match.group(1)}(): {banned[match.group(1)]}")
    if in_tests:
        return
    for match in list(STATE.finditer(code))[1:]:
        faults.append(f"{path}:{line_of(code, match.start())}: a second writer of ->state")
    for first, last, name in functions(code):
        sizes.append((last - first + 1, f"{path}:{first}", name))
        if last - first + 1 > LONGEST:
            faults.append(f"{path}:{first}: {name}() has {last - first + 1} lines, more than {LONGEST}")


def main():
    root = root_from_arguments()
    faults, sizes = [], []
    for path in project_files(root):
        if re.search(r"\.[ch]$", path):
            check(path, read(root, path), faults, sizes)
    sizes.sort(reverse=True)
    if sizes:
        print(f"{len(sizes)} functions, {sizes[len(sizes) // 2][0]} lines at the median,",
              f"{sum(1 for size in sizes if size[0] > 40)} over 40; the longest:")
        for lines, where, name in sizes[:5]:
            print(f"  {lines:4} {where} {name}")
    finish(faults, "code")


if __name__ == "__main__":
    main()
