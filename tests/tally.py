#!/usr/bin/env python3
"""Adds up GoogleTest results.

tally.py DIR             every program of DIR; the last line is the sum; exit status 1 when something failed
tally.py --one DIR NAME  one line about one program

DIR holds NAME.json (written by GoogleTest) and NAME.status: the exit status, "did not finish" or "skipped: why".
"""
import json
import pathlib
import sys


def read(folder, name):
    """Returns (passed, failed, skipped, seconds, notes) of one program."""
    status = (folder / f"{name}.status").read_text().strip()
    if status.startswith("skipped"):
        return 0, 0, 1, 0.0, [status]
    passed = failed = skipped = 0
    notes = []
    try:
        report = json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError):
        return 0, 1, 0, 0.0, [f"FAILED {name}: no results (exit status {status}); see {folder / name}.log"]
    for suite in report["testsuites"]:
        for test in suite["testsuite"]:
            if test.get("status") == "NOTRUN":
                continue
            if test.get("failures"):
                failed += 1
                notes.append(f"FAILED {suite['name']}.{test['name']}")
            elif test.get("result") == "SKIPPED":
                skipped += 1
                notes.append(f"skipped {suite['name']}.{test['name']}")
            else:
                passed += 1
    if status != "0" and failed == 0:
        failed += 1
        notes.append(f"FAILED {name}: exit status {status} after its tests passed")
    return passed, failed, skipped, float(report.get("time", "0s").rstrip("s")), notes


def main():
    arguments = sys.argv[1:]
    if arguments and arguments[0] == "--one":
        passed, failed, skipped, seconds, _ = read(pathlib.Path(arguments[1]), arguments[2])
        words = [f"{passed} passed"] + [f"{count} {word}" for count, word in ((failed, "FAILED"), (skipped, "skipped")) if count]
        print(f"{arguments[2]}: {', '.join(words)} ({seconds:.1f} s)", flush=True)
        return 0
    folder = pathlib.Path(arguments[0])
    totals = [0, 0, 0]
    for file in sorted(folder.glob("*.status")):
        *counts, _, notes = read(folder, file.stem)
        totals = [total + count for total, count in zip(totals, counts)]
        for note in notes:
            print(note)
    print(f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped")
    return 1 if totals[1] or sum(totals) == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
