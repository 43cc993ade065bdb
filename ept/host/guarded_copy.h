// Copies to and from memory that somebody else can take away while it is being touched.
//
// A mapping of a file is only as long as the file: whoever cuts the file makes the next touch of the lost
// pages a SIGBUS, in a mapping of ours as in anybody's. A read or write of guest memory must not end the
// monitor for that, so it is done by instructions of which a signal handler knows: a SIGBUS or SIGSEGV that
// they raise ends the copy with an answer instead. Every other signal goes to whoever had it before.
//
// Why a handler and not a system call: pread() or process_vm_readv() cost 0.3 microseconds and more a call,
// these instructions what memcpy() costs (4 ns for a word, 0.27 us for a page, measured side by side).
#pragma once

#include <cstddef>
#include <span>

namespace ept::host {

enum class [[nodiscard]] Touched : bool{No, Yes};

/// Copies `from` to `to`, which are equally long and do not overlap; No when a page of either could not be
/// touched, after an unknown part of it was copied. 1, 2, 4 and 8 bytes are one access each. Any thread. The
/// first call in the process installs the handler; one that is installed later for the same signals must hand
/// on what it does not know.
Touched guarded_copy(std::span<std::byte> to, std::span<const std::byte> from);

}  // namespace ept::host
