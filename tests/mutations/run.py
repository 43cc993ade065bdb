#!/usr/bin/env python3
"""Mutation check: breaks the VM system one line at a time and sees whether its tests notice.

run.py [N|all] [--filter REGEX] [--list]

Reads every *.txt next to this file. A mutation is a small hunk, lines as in a unified diff (' ' context, '-' out, '+' in):

    = name-of-the-fault
    what a guest, a device or an operator would see of it
    @ uvm/some_file.cc
     a line before
    -the line that is right
    +the line that is wrong

Context and removed lines together have to be found exactly once in the file, so a mutation that no longer fits the source
fails as stale instead of testing nothing. The sources are copied to build/mutations; each mutation is applied there alone,
the tests of its area (uvm_tests for uvm/, ept_tests for ept/) are built and run until the first failure. A failure, a crash
and a test that does not end count as caught; a mutation that does not compile does not. With a number N, that many are
chosen by the hash of the commit, so that every commit tries others.

Prints "caught NAME by TEST" or "SURVIVED NAME"; the last line is "N passed, N failed, N skipped".
"""
import argparse
import dataclasses
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREE = ROOT / "build/mutations/tree"
BUILD = TREE / "build/dev"
LEAST_LIMIT = 60  # seconds a test program gets, however fast it is without a fault
# What a removed line leaves unused is no error of the compiler's.
PROLOGUE = "".join(f'#pragma GCC diagnostic ignored "-Wunused-{what}"\n' for what in
                   ("variable", "parameter", "but-set-variable", "function", "value"))


@dataclasses.dataclass
class Mutation:
    """One fault: `old` becomes `new` in `file`."""

    name: str
    why: str = ""
    file: str = ""
    old: str = ""
    new: str = ""

    @property
    def target(self):
        return self.file.partition("/")[0] + "_tests"

    def apply(self, text):
        """The text with the fault, or None when the hunk is not there exactly once."""
        lines, old = f"\n{text}", f"\n{self.old}"
        return lines.replace(old, f"\n{self.new}")[1:] if self.old and lines.count(old) == 1 else None


def load(path):
    """The mutations of one list."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        mark, rest = line[:1], line[1:]
        if mark in ("", "#"):
            continue
        if mark == "=":
            found.append(Mutation(rest.strip()))
            continue
        if not found:
            sys.exit(f"{path.name}:{number}: a mutation begins with '= name'")
        now = found[-1]
        if not now.file and mark != "@":
            now.why = f"{now.why} {line.strip()}".strip()
        elif mark == "@":
            now.file = rest.strip()
        elif mark in " -+":
            now.old += f"{rest}\n" if mark != "+" else ""
            now.new += f"{rest}\n" if mark != "-" else ""
        else:
            sys.exit(f"{path.name}:{number}: expected ' ', '-', '+', '=', '@' or '#', not {line!r}")
    return found


def choose(mutations, how_many):
    """All, or as many as asked for, by the commit."""
    if how_many == "all":
        return mutations
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    print(f"mutations: {how_many} of {len(mutations)}, chosen by commit {commit[:12]}")
    ranked = sorted(mutations, key=lambda m: hashlib.sha256(f"{commit} {m.name}".encode()).digest())
    return ranked[: int(how_many)]


def write(path, content):
    """Touches the file only when it changes, so that nothing is built that need not be."""
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def copy_sources():
    """Makes TREE what the working tree is, uncommitted changes included."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = {name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()}
    for name in names:
        write(TREE / name, (ROOT / name).read_bytes())
        (TREE / name).chmod((ROOT / name).stat().st_mode)
    for path in [p for p in TREE.rglob("*") if p.is_file()]:
        name = path.relative_to(TREE).as_posix()
        if name not in names and not name.startswith("build/"):
            path.unlink()


def build(target):
    """The output of a build that failed, or None."""
    environment = {**os.environ, "CCACHE_BASEDIR": str(TREE), "CCACHE_NOHASHDIR": "1",
                   "CCACHE_SLOPPINESS": "pch_defines,time_macros"}
    commands = [] if (BUILD / "build.ninja").exists() else [["cmake", "--preset", "dev"]]
    for command in [*commands, ["ninja", "-C", str(BUILD), target]]:
        done = subprocess.run(command, cwd=TREE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False)
        if done.returncode != 0:
            return done.stdout
    return None


def first_failure(target, limit):
    """Runs a test program until its first failure; which test that was and how, or None."""
    command = [str(BUILD / "tests" / target), "--gtest_fail_fast", "--gtest_color=no"]
    environment = {**os.environ, "UVMM_TEST_SEED": "1"}
    program = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        output, _ = program.communicate(timeout=limit)
        how = f"ended by {signal.Signals(-program.returncode).name}" if program.returncode < 0 else "ended early"
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        output, _ = program.communicate()
        how = f"did not end in {limit:.0f} s"
    if program.returncode == 0:
        return None
    if failed := re.search(r"^\[  FAILED  \] ([^\s,]+)", output, re.M):
        return failed.group(1)
    began = re.findall(r"^\[ RUN      \] (\S+)", output, re.M)
    return f"{began[-1]} ({how})" if began else f"{target} before its first test ({how})"


def measure(targets):
    """The limit for each program, from a run without a fault, which has to pass."""
    limits = {}
    for target in sorted(targets):
        if (output := build(target)) is not None:
            sys.exit(f"{output}\nmutations: {target} does not build without a fault")
        start = time.monotonic()
        if (failed := first_failure(target, 900)) is not None:
            sys.exit(f"mutations: {target} fails without a fault, in {failed}")
        limits[target] = max(LEAST_LIMIT, 10 * (time.monotonic() - start))
    return limits


def try_one(mutation, limits):
    """Prints what became of one mutation; whether it was caught."""
    path = TREE / mutation.file
    right = path.read_bytes()
    write(path, (PROLOGUE + mutation.apply(right.decode())).encode())
    try:
        if (output := build(mutation.target)) is not None:
            print(f"{output}\nDOES NOT COMPILE {mutation.name} ({mutation.file})", flush=True)
            return False
        failed = first_failure(mutation.target, limits[mutation.target])
    finally:
        write(path, right)
    if failed is None:
        print(f"SURVIVED {mutation.name} ({mutation.file}): {mutation.why}", flush=True)
        return False
    print(f"caught {mutation.name} by {failed}", flush=True)
    return True


def is_stale(mutation):
    path = ROOT / mutation.file
    if path.is_file() and mutation.apply(path.read_text()) is not None:
        return False
    print(f"STALE {mutation.name}: its lines are not in {mutation.file or 'any file'} exactly once", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(prog="mutations", description="Breaks one line at a time and runs the tests.")
    parser.add_argument("how_many", nargs="?", default="all", metavar="N|all", help="how many to try (default: all)")
    parser.add_argument("--filter", default="", metavar="REGEX", help="only mutations whose name or file matches")
    parser.add_argument("--list", action="store_true", help="only say which there are, and which are stale")
    options = parser.parse_args()
    if options.how_many != "all" and not (options.how_many.isdigit() and int(options.how_many) > 0):
        parser.error(f"{options.how_many!r} is neither a number above 0 nor \"all\"")
    mutations = [m for path in sorted(pathlib.Path(__file__).parent.glob("*.txt")) for m in load(path)]
    names = [m.name for m in mutations]
    if twice := {name for name in names if names.count(name) > 1}:
        sys.exit(f"mutations: two are called {', '.join(sorted(twice))}")
    stale = [m for m in mutations if is_stale(m)]
    chosen = [m for m in mutations if re.search(options.filter, f"{m.name} {m.file}")]
    if options.list:
        for mutation in chosen:
            print(f"{mutation.name} ({mutation.file}): {mutation.why}")
        return 1 if stale else 0
    chosen = [m for m in choose(chosen, options.how_many) if m not in stale]
    copy_sources()
    limits = measure({m.target for m in chosen})
    caught = sum(try_one(mutation, limits) for mutation in chosen)
    failed = len(chosen) - caught + len(stale)
    print(f"{caught} passed, {failed} failed, 0 skipped")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
