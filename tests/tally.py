#!/usr/bin/env python3
"""Adds up GoogleTest results.

tally.py DIR [LIST]      every program of DIR: what failed, what was skipped and why; the last line is the sum. Exit
                         status 1 when something failed or nothing ran. LIST names acceptance tests and what shows
                         them; each gets a line, and one that names a test that is not there has failed.
tally.py --one DIR NAME  one program: a line with its numbers, and the output of each test that failed

DIR holds, for each program, NAME.json (written by GoogleTest), NAME.log (its output) and NAME.status (its exit status,
"did not finish", or "skipped: why").
"""
import fnmatch
import json
import pathlib
import re
import sys


class Program:
    """The results of one test program."""

    def __init__(self, folder, name):
        self.name = name
        self.passed, self.failed, self.skipped = 0, 0, 0
        self.seconds = 0.0
        self.results = {}  # full name of a test → passed, failed or skipped
        self.notes = []  # one line about each test that failed or was skipped
        self.details = ""  # the output of what failed
        self.status = (folder / f"{name}.status").read_text().strip()
        self.log = (folder / f"{name}.log").read_text(errors="replace") if (folder / f"{name}.log").exists() else ""
        if self.status.startswith("skipped"):
            self.skipped = 1
            self.notes.append(f"skipped {name}: {self.status.partition(': ')[2]}")
            return
        try:
            report = json.loads((folder / f"{name}.json").read_text())
        except (OSError, ValueError):
            self.count_dead_program()
            return
        self.seconds = float(report.get("time", "0s").rstrip("s"))
        for suite in report["testsuites"]:
            for test in suite["testsuite"]:
                self.count(test, f"{suite['name']}.{test['name']}")
        if self.status != "0" and self.failed == 0:
            self.failed = 1
            self.notes.append(f"FAILED {name}: exit status {self.status} although its tests passed")
            self.details += self.end_of_log()

    def count(self, test, full_name):
        if test.get("status") == "NOTRUN":
            return
        if test.get("failures"):
            self.failed += 1
            self.results[full_name] = "failed"
            self.notes.append(f"FAILED {full_name}")
            self.details += self.output_of(full_name)
        elif test.get("result") == "SKIPPED":
            self.skipped += 1
            self.results[full_name] = "skipped"
            self.notes.append(f"skipped {full_name}: {self.reason_of(full_name)}")
        else:
            self.passed += 1
            self.results[full_name] = "passed"

    def count_dead_program(self):
        """The program died: what it reported before counts, the test it was in failed."""
        self.passed = len(re.findall(r"^\[       OK \] ", self.log, re.M))
        self.skipped = len(re.findall(r"^\[  SKIPPED \] \S+ \(", self.log, re.M))
        self.failed = len(re.findall(r"^\[  FAILED  \] \S+.* \(\d+ ms\)$", self.log, re.M)) + 1
        last = re.findall(r"^\[ RUN      \] (\S+)", self.log, re.M)
        where = f"in {last[-1]}" if last else "before its first test"
        self.notes.append(f"FAILED {self.name}: ended {where} (exit status {self.status})")
        self.details += self.end_of_log()

    def output_of(self, full_name):
        start = self.log.find(f"[ RUN      ] {full_name}\n")
        end = self.log.find(f"[  FAILED  ] {full_name}", start)
        return self.log[start : self.log.find("\n", end) + 1] if 0 <= start < end else ""

    def reason_of(self, full_name):
        start = self.log.find(f"[ RUN      ] {full_name}\n")
        found = re.compile(r": Skipped\n(.*)\n").search(self.log, start) if start >= 0 else None
        return found.group(1) if found else "no reason given"

    def end_of_log(self):
        return "".join(f"{line}\n" for line in self.log.splitlines()[-60:])


class Acceptance:
    """A list of acceptance tests. "X title" begins one; indented below it are names of tests ("Suite.*" is all of a
    suite) and lines "waits: what, and for what" for the parts that nothing can show yet."""

    def __init__(self, lines, programs):
        self.programs = programs
        self.notes, self.passed, self.failed, self.skipped = [], 0, 0, 0
        title, names, waits = None, [], []
        for line in [*lines, "end"]:
            if line.startswith(" "):
                kind, _, rest = line.strip().partition(": ")
                waits.append(rest) if kind == "waits" else names.extend(line.split())
            elif line and not line.startswith("#"):
                if title:
                    self.add(title, names, waits)
                title, names, waits = line, [], []

    def add(self, title, names, waits):
        seen = []
        for name in names:
            found = [r for p in self.programs for full, r in p.results.items() if fnmatch.fnmatchcase(full, name)]
            if not found and all(p.results for p in self.programs):
                self.failed += 1
                self.notes.append(f"FAILED acceptance {title[0]}: no test is called {name}")
            seen += found
        counts = [f"{seen.count(what)} {what}" for what in ("passed", "failed", "skipped") if what in seen]
        self.notes.append(f"acceptance {title}: {', '.join(counts) or 'nothing ran'}")
        self.notes += [f"skipped acceptance {title[0]}: {what}" for what in waits]
        self.skipped += len(waits)


def main():
    arguments = sys.argv[1:]
    if len(arguments) == 3 and arguments[0] == "--one":
        program = Program(pathlib.Path(arguments[1]), arguments[2])
        numbers = [f"{program.passed} passed"]
        numbers += [f"{program.failed} FAILED"] if program.failed else []
        numbers += [f"{program.skipped} skipped"] if program.skipped else []
        print(f"{program.details}{program.name}: {', '.join(numbers)} ({program.seconds:.1f} s)", flush=True)
        return 0
    folder = pathlib.Path(arguments[0])
    programs = [Program(folder, file.stem) for file in sorted(folder.glob("*.status"))]
    for program in programs:
        for note in program.notes:
            print(note)
    if len(arguments) == 2:
        programs.append(Acceptance(pathlib.Path(arguments[1]).read_text().splitlines(), programs[:]))
        print("\n".join(programs[-1].notes))
    passed, failed, skipped = (sum(getattr(p, what) for p in programs) for what in ("passed", "failed", "skipped"))
    if passed + failed + skipped == 0:
        print("no test matches")
        failed = 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
