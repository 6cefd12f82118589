"""What results mean: which case is worse than another run's, and the tables.

A result is the suite's `behavior` (which messages came), its `behaviorClose` (who closed, how, with which code) and the
close code that the fuzzer received, None where the connection just ended. A case counts as the worse of its two verdicts.
"""
import collections

SECTIONS = {
    1: "framing", 2: "pings and pongs", 3: "reserved bits", 4: "opcodes", 5: "fragmentation", 6: "UTF-8",
    7: "closing", 9: "limits", 10: "auto-fragmentation", 12: "compression", 13: "compression parameters",
}
GROUPS = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
LONG_GROUPS = ["12.%d.*" % n for n in range(1, 6)] + ["13.%d.*" % n for n in range(1, 8)]
RANKS = {"OK": 0, "INFORMATIONAL": 0, "NON-STRICT": 1, "UNIMPLEMENTED": 2}
WORST = 3               # FAILED, WRONG CODE, UNCLEAN, FAILED BY CLIENT, a case that did not run


def case_key(case):
    return [int(n) for n in case.split(".")]


def in_order(cases):
    return sorted(cases, key=case_key)


def ranks(result):
    if result is None:
        return [WORST, WORST]
    return [RANKS.get(result[field], WORST) for field in ("behavior", "close")]


def verdict(result):
    """One word for a case."""
    if result is None:
        return "not run"
    behavior, close = ranks(result)
    return result["behavior"] if behavior >= close else result["close"]


def is_good(result):
    return ranks(result) == [0, 0]


def worse(direct, through):
    """The cases that are worse through the gateway in either verdict, or whose Close frame was lost on the way."""
    return [case for case in in_order(set(direct) & set(through))
            if any(a > b for a, b in zip(ranks(through[case]), ranks(direct[case]))) or lost_close(direct[case], through[case])]


def lost_close(before, after):
    """An INFORMATIONAL case is a race between a long echo and the fuzzer's end of the connection: either may win."""
    return before["code"] and not after["code"] and verdict(before) == "OK"


def better(direct, through):
    return [case for case in in_order(set(direct) & set(through))
            if sum(ranks(through[case])) < sum(ranks(direct[case])) and case not in worse(direct, through)]


def other_codes(direct, through):
    """Cases that are as good as direct, but whose close code differs."""
    bad = set(worse(direct, through)) | set(better(direct, through))
    return [case for case in in_order(set(direct) & set(through))
            if case not in bad and direct[case]["code"] != through[case]["code"]]


def section_of(case):
    return case_key(case)[0]


def count_words(results, section):
    """`OK 16`, `OK 12, NON-STRICT 4`, or `–` when nothing of the section has run."""
    words = collections.Counter(verdict(r) for case, r in results.items() if section_of(case) == section)
    order = sorted(words, key=lambda word: (RANKS.get(word, WORST), word))
    return ", ".join("%s %d" % (word, words[word]) for word in order) or "–"


def table(columns):
    """columns: {name: results}. One row per section that has run anywhere, as Markdown."""
    sections = [s for s in SECTIONS if any(section_of(c) == s for results in columns.values() for c in results)]
    rows = [["section", "", *columns], ["--:", "---", *["---"] * len(columns)]]
    for section in sections:
        rows.append([str(section), SECTIONS[section], *(count_words(results, section) for results in columns.values())])
    rows.append(["", "cases", *(str(len(results)) for results in columns.values())])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (cell.replace("---", "-" * width) if cell == "---" else cell.ljust(width) for cell, width in zip(row, widths))
        lines.append("| %s |" % " | ".join(cells))
    return "\n".join(lines)


def describe(results, case):
    """`behavior / close / code`, shortened where both verdicts are one."""
    result = results[case]
    words = result["behavior"] if result["behavior"] == result["close"] else "%s, then %s" % (result["behavior"], result["close"])
    return "%s, %s" % (words, "Close %d" % result["code"] if result["code"] else "no Close")


def differences(direct, through, cases):
    """One line for all cases that differ in the same way."""
    kinds = {}
    for case in cases:
        kinds.setdefault((describe(direct, case), describe(through, case)), []).append(case)
    return ["%s: direct %s; through %s" % (short_list(same), before, after) for (before, after), same in kinds.items()]


def short_list(cases):
    """7.9.1, 7.9.2, 7.9.3 -> 7.9.1-3"""
    out = []
    for case in cases:
        parent, _, last = case.rpartition(".")
        if out and out[-1][0] == parent and out[-1][2] + 1 == int(last):
            out[-1][2] = int(last)
        else:
            out.append([parent, int(last), int(last)])
    return ", ".join("%s.%d" % (p, a) if a == b else "%s.%d-%d" % (p, a, b) for p, a, b in out)
