#!/usr/bin/env python3
"""gdb_bench.py UVMM [ROUNDS]: what a debugger waits for, with uvmm and with Debian's QEMU on the same guest, alternately.

The guest is tests/bench/gdb_guest.S: four busy processors. Bulk transfers are timed inside stock gdb, single packets
by a client of our own. Each line has the best of ROUNDS runs of both, their ratio, and what is wanted of it. The exit
status is 1 when something is missed, 2 when a measurement could not be made."""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MEBIBYTE = 1 << 20
BASE = 16 * MEBIBYTE
PATIENCE = 60  # seconds
VCPUS = 4


class Client:
    """The least of gdb's end of the protocol."""

    def __init__(self, path):
        limit = time.monotonic() + PATIENCE
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > limit:
                    raise
                time.sleep(0.05)
        self.socket.settimeout(PATIENCE)
        self.bytes = b""
        self.acks = True
        self.ask("qSupported:multiprocess-;swbreak+;hwbreak+;vContSupported+")
        # What the peer offers, as gdb does it; QEMU wants every packet acknowledged.
        if self.ask("QStartNoAckMode") == "OK":
            self.acks = False
        self.ask("?")
        # QEMU tells a stop that nobody has asked for when somebody connects: all answers until this one are old.
        self.send("vMustReplyEmpty")
        while self.receive() != "":
            pass

    def send(self, payload):
        data = payload.encode("latin-1")
        self.socket.sendall(b"$" + data + b"#%02x" % (sum(data) & 0xFF))

    def receive(self):
        while True:
            found = re.search(rb"\$([^#]*)#..", self.bytes, re.DOTALL)
            if found:
                self.bytes = self.bytes[found.end():]
                if self.acks:
                    self.socket.sendall(b"+")
                return found.group(1).decode("latin-1")
            more = self.socket.recv(1 << 16)
            if not more:
                raise OSError("the connection was closed")
            self.bytes += more

    def ask(self, payload):
        self.send(payload)
        return self.receive()

    def stop(self):
        """From the interrupt to the answer, in seconds."""
        begin = time.perf_counter()
        self.socket.sendall(b"\x03")
        self.receive()
        return time.perf_counter() - begin

    def close(self):
        """Lets the guest go on."""
        self.ask("D")
        self.socket.close()


GDB_SCRIPT = """
import gdb, time
def timed(command):
    begin = time.perf_counter()
    gdb.execute(command, to_string=True)
    return time.perf_counter() - begin
print("RESULT restore", timed("restore {file} binary {base}"))
print("RESULT dump", timed("dump binary memory {out} {base} {base}+{dumped}"))
print("RESULT find", timed("find /b {base}, {base}+{searched}, 0x75, 0x76, 0x6d, 0x6d, 0x2d, 0x99, 0x98, 0x97, 0x96"))
inferior = gdb.selected_inferior()
begin = time.perf_counter()
for i in range({reads}):
    inferior.read_memory({base} + 8 * i, 8)
print("RESULT read", (time.perf_counter() - begin) / {reads})
"""


def build_guest(folder):
    guest = os.path.join(folder, "guest.elf")
    parts = os.path.join(folder, "guest.o")
    subprocess.run(["gcc", "-m32", "-c", "-o", parts, os.path.join(HERE, "gdb_guest.S")], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-Ttext=0x100000", "-N", "--no-warn-rwx-segments", "-o", guest, parts], check=True)
    return guest


def commands(uvmm, guest, path):
    qemu = ["qemu-system-x86_64", "-M", "pc", "-m", "128", "-smp", str(VCPUS), "-nodefaults", "-display", "none",
            "-no-reboot", "-kernel", guest, "-gdb", f"unix:{path},server=on,wait=off"]
    return {
        "uvmm": [uvmm, "run", "-k", guest, "-m", "128M", "-c", str(VCPUS), "--gdb", "unix:" + path],
        "qemu": qemu + ["-accel", "tcg"],
        "qemu-kvm": qemu + ["-accel", "kvm"],
    }


class Machine:
    """A monitor with the guest counting in it."""

    def __init__(self, command, path):
        self.path = path
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        try:
            self.wait_for_the_guest()
        except BaseException:
            self.end()
            raise

    def wait_for_the_guest(self):
        """Until all processors are in their loops: the first below 0x100100, the others below 0x8100."""
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            if self.process.poll() is not None:
                raise RuntimeError("it ended: " + self.process.stderr.read().decode(errors="replace")[-300:])
            client = Client(self.path)
            places = []
            for tid in range(1, VCPUS + 1):
                client.ask("Hg%x" % tid)
                registers = client.ask("g")
                places.append(int.from_bytes(bytes.fromhex(registers[256:272]), "little"))
            client.close()
            if 0x100000 <= places[0] < 0x100100 and all(place < 0x100 for place in places[1:]):
                return
            time.sleep(0.3)
        raise RuntimeError("the guest did not come up: " + " ".join(hex(place) for place in places))

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


def measure_in_gdb(path, folder, gdb="gdb"):
    script = os.path.join(folder, "script.py")
    source = os.path.join(folder, "source")
    if not os.path.exists(source):
        with open(source, "wb") as file:
            file.write(os.urandom(8 * MEBIBYTE))
    with open(script, "w") as file:
        file.write(GDB_SCRIPT.format(file=source, out=os.path.join(folder, "out"), base=BASE, dumped=16 * MEBIBYTE,
                                     searched=32 * MEBIBYTE, reads=2000))
    done = subprocess.run([gdb, "-batch", "-nx", "-iex", "set debuginfod enabled off", "-ex", "set pagination off",
                           "-ex", "target remote " + path, "-x", script, "-ex", "detach"],
                          capture_output=True, text=True, timeout=5 * PATIENCE)
    found = {name: float(value) for name, value in re.findall(r"RESULT (\w+) ([0-9.e-]+)", done.stdout)}
    if len(found) != 4:
        raise RuntimeError("gdb: " + (done.stdout + done.stderr)[-400:])
    with open(source, "rb") as wrote, open(os.path.join(folder, "out"), "rb") as read:
        if read.read(8 * MEBIBYTE) != wrote.read():
            raise RuntimeError("what gdb has dumped is not what it has restored")
    return found


def median(values):
    return sorted(values)[len(values) // 2]


def steps(client, count):
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        reply = client.ask("vCont;s:1")
        times.append(time.perf_counter() - begin)
        if not reply.startswith("T05"):
            raise RuntimeError("a step ended with " + reply)
    return median(times)


def measure_packets(path):
    client = Client(path)
    found = {"stepi": steps(client, 300)}
    # In text that nobody runs: what 100 breakpoints cost a stop.
    places = [0x200000 + 64 * i for i in range(100)]
    for place in places:
        if client.ask("Z0,%x,1" % place) != "OK":
            raise RuntimeError("a breakpoint was refused")
    found["breakpoints"] = steps(client, 300) - found["stepi"]
    for place in places:
        client.ask("z0,%x,1" % place)
    answers = []
    for _ in range(50):
        client.send("vCont;c")
        time.sleep(0.02)
        answers.append(client.stop())
    found["interrupt"] = median(answers)
    client.close()
    return found


def best(runs):
    return {name: min(run[name] for run in runs) for name in runs[0]}


# name, what is shown, unit's factor and name, bound on uvmm/QEMU in time (None: on uvmm's own seconds), bound
TABLE = [
    ("dump", "dump of 16 MiB", 1e3, "ms", "ratio", 1 / 1.2),
    ("newer dump", "dump of 16 MiB, gdb 16", 1e3, "ms", "ratio", 1 / 2),
    ("restore", "restore of 8 MiB", 1e3, "ms", "ratio", 1 / 3),
    ("find", "find in 32 MiB", 1e3, "ms", "ratio", 1 / 50),
    ("read", "read of 8 bytes", 1e6, "us", "ratio", 0.5),
    ("stepi", "step, by packet", 1e6, "us", "ratio", 0.2),
    ("breakpoints", "100 breakpoints add to a stop", 1e6, "us", "seconds", 100e-6),
    ("interrupt", f"Ctrl-C, {VCPUS} busy vCPUs", 1e3, "ms", "seconds", 1e-3),
]


def report(results):
    missed = False
    ours = results["uvmm"]
    theirs = {name: value for name, value in results.items() if name != "uvmm"}
    print(f"{'':32}{'uvmm':>12}" + "".join(f"{name:>14}" for name in theirs) + "   uvmm/QEMU  wanted at most")
    for name, text, factor, unit, kind, bound in TABLE:
        if name not in ours:
            print(f"{text:32}not measured: no gdb 16 (UVMM_NEWER_GDB names one; ./dev bench gdb fetches it)")
            continue
        # The bound counts against the faster of them; of a step against the one that has a vCPU to leave, too.
        peers = {"qemu-kvm"} if name == "stepi" and "qemu-kvm" in theirs else theirs.keys()
        fastest = min(theirs[peer][name] for peer in peers)
        ratio = ours[name] / fastest if fastest > 0 else float("nan")
        good = (ratio if kind == "ratio" else ours[name]) <= bound
        missed = missed or not good
        wanted = f"{bound:.2f}" if kind == "ratio" else f"{bound * factor:.0f} {unit}"
        print(f"{text:32}{ours[name] * factor:9.2f} {unit}" +
              "".join(f"{value[name] * factor:11.2f} {unit}" for value in theirs.values()) +
              f"{ratio:12.3f}  {wanted}{'' if good else '   MISSED'}")
    return missed


def main():
    uvmm = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    for program in ("gdb", "qemu-system-x86_64", "gcc", "ld"):
        if shutil.which(program) is None:
            print(f"bench gdb: {program} is not installed")
            return 2
    with tempfile.TemporaryDirectory(prefix="uvmm-gdb-bench.", dir="/dev/shm") as folder:
        guest = build_guest(folder)
        path = os.path.join(folder, "door")
        results = {}
        for name, command in [(n, c) for _ in range(rounds) for n, c in commands(uvmm, guest, path).items()]:
            try:
                machine = Machine(command, path)
            except (RuntimeError, OSError) as problem:
                print(f"{name}: left out: {problem}", flush=True)
                continue
            try:
                found = {**measure_packets(path), **measure_in_gdb(path, folder)}
                if "UVMM_NEWER_GDB" in os.environ:
                    found["newer dump"] = measure_in_gdb(path, folder, os.environ["UVMM_NEWER_GDB"])["dump"]
                results.setdefault(name, []).append(found)
            finally:
                machine.end()
        if "uvmm" not in results or len(results) < 2:
            print("bench gdb: nothing to compare")
            return 2
        return 1 if report({name: best(runs) for name, runs in results.items()}) else 0


sys.exit(main())
