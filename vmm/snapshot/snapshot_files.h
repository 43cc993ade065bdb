// A machine's image in a directory: DIR/state, the sections, and DIR/memory-N, all of RAM, sparse; or of RAM
// what differs from another snapshot, the base.
//
// "state" names the file of the memory that belongs to it, its size and a sum of each MiB. A new snapshot is
// written beside the old one and takes its place by the renaming of "state": whatever ends the writer, the
// directory holds the old snapshot whole or the new one. Only then the old memory goes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/memory_image.h"
#include "vmm/snapshot/snapshot_chain.h"

namespace vmm::snapshot {

/// What a directory holds.
struct SavedImage {
  std::vector<std::byte> description;  // the state's sections, and "memory", "memory-file", "base"
  MemoryImage memory;                  // in its file and its base's, to be mapped copy-on-write
};

struct WriteOptions {
  std::string base;  // another snapshot's directory, to build on; empty: on none
  Packing packing = Packing::None;
};

struct WrittenBytes {
  std::uint64_t memory = 0;  // that are not zeros, nor the base's; packed, as they are in the file
  std::uint64_t state = 0;
};

/// `state`: the sections of a machine's state. Makes the directory. Nothing of an older snapshot there is
/// touched before this one is on the disk. With a base, another snapshot's directory, all of both memories is
/// compared (a second for some GiB), and what is the same is not written. Errors: System, Permission,
/// NotFound, Busy (somebody else writes there); the file is named. Invalid (see link_to(); a base with other
/// RAM).
[[nodiscard]] uvm::Result<WrittenBytes> write_snapshot(const std::string& directory,
                                                       std::span<const std::byte> state,
                                                       const MemoryImage& memory,
                                                       const WriteOptions& options = {},
                                                       const Progress& progress = {});

struct Collapsed {
  WrittenBytes written;
  std::size_t levels = 0;  // that it consisted of; 1: it stood alone, and is as it was
};

/// Makes a snapshot stand alone, with all memory of those it builds on, which are checked on the way; packed
/// if it was.
/// Machines that run from it or from its bases keep the files they have; snapshots that build on it still do.
/// Whatever ends the writer, the directory holds the snapshot in the one form or the other. Reads all of the
/// memory twice. Errors: as read_snapshot() and write_snapshot().
[[nodiscard]] uvm::Result<Collapsed> collapse_snapshot(const std::string& directory,
                                                       const Progress& progress = {});

/// One that somebody replaces or collapses meanwhile is the old one or the new one. Errors: NotFound,
/// Permission, Invalid (damaged, cut, of another snapshot; its base is), in one line.
[[nodiscard]] uvm::Result<SavedImage> read_snapshot(const std::string& directory,
                                                    Verify verify = Verify::All);

/// A snapshot in two files of the caller's choice, neither of which depends on the other's place: what is
/// there already is replaced, by renaming, and stays what it was for whoever maps it. Between the renamings
/// the two do not belong together, which read_snapshot_pair() finds by the sums. Errors: as write_snapshot().
[[nodiscard]] uvm::Result<WrittenBytes> write_snapshot_pair(const std::string& state_path,
                                                            const std::string& memory_path,
                                                            std::span<const std::byte> state,
                                                            const MemoryImage& memory);

/// Errors: as read_snapshot().
[[nodiscard]] uvm::Result<SavedImage> read_snapshot_pair(const std::string& state_path,
                                                         const std::string& memory_path,
                                                         Verify verify = Verify::All);

}  // namespace vmm::snapshot
