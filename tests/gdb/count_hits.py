"""Runs in gdb, where `most` says how many hits. Counts the hits of a breakpoint at getname_flags by the names that the
guest's workers have: worker W asks for /W/1, /W/2, … and for none of them twice, so that each number has to come once
and in its order."""
import collections
import re

NAME = re.compile(rb"/([0-3])/(\d+)\0")


class Names(gdb.Breakpoint):
    """Sees each stop; lets the guest go on by itself until all have been seen."""

    def __init__(self):
        super().__init__("*getname_flags")
        self.address = int(gdb.parse_and_eval("(long)&getname_flags"))
        self.next = {}
        self.hits = 0
        self.by_vcpu = collections.Counter()
        self.wrong = []

    def stop(self):
        if int(gdb.parse_and_eval("(long)$pc")) != self.address:
            self.wrong.append("a stop that is not at the breakpoint")
        name = gdb.selected_inferior().read_memory(int(gdb.parse_and_eval("(long)$rdi")), 16).tobytes()
        found = NAME.match(name)
        if found:
            worker, number = int(found[1]), int(found[2])
            if number != self.next.setdefault(worker, number):
                self.wrong.append(f"worker {worker} has {number} where {self.next[worker]} was expected")
            self.next[worker] = number + 1
            self.hits += 1
            self.by_vcpu[gdb.selected_thread().num] += 1
        return self.hits >= most or bool(self.wrong)


names = Names()
while names.hits < most and not names.wrong:
    gdb.execute("continue", to_string=True)
print(f"hits {names.hits} workers {len(names.next)} vcpus {len(names.by_vcpu)} wrong {names.wrong}")
print("by vcpu", dict(sorted(names.by_vcpu.items())))
names.delete()
