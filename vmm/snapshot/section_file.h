// The container: sections with a name, a version, a length and a checksum, one after the other.
//
//   "uvmmstat" | u32 format | u32 sections | u64 bytes in all | sections
//   section:   u16 name's length | u16 instance | u16 version | u16 flags | u64 content's bytes |
//              u64 XXH3 of name, the three numbers and content | name | content
//
// Little-endian throughout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"

namespace vmm::snapshot {

/// What somebody does who does not know a section.
enum class Unknown : std::uint16_t { Refuse = 0, Skip = 1 };

/// One section; the content belongs to whoever holds the whole.
struct Section {
  std::string name;
  std::uint16_t instance = 0;  // vCPU 0, 1, …; which of several
  std::uint16_t version = 1;
  Unknown unknown = Unknown::Refuse;
  std::span<const std::byte> content;

  /// "serial", "vcpu 3"
  [[nodiscard]] std::string title() const;
};

class SectionWriter {
 public:
  SectionWriter();
  /// A name of 1 to 31 bytes, once with each instance.
  void add(const Section& section);
  [[nodiscard]] std::vector<std::byte> finish() &&;

 private:
  std::vector<std::byte> bytes_;
  std::uint32_t count_ = 0;
};

/// What a state consists of. Immutable; borrows the bytes it was read from.
class SectionTable {
 public:
  /// Checks all of it but the contents. Errors: Invalid, in one line: what is wrong with which section.
  [[nodiscard]] static uvm::Result<SectionTable> read(std::span<const std::byte> bytes);

  /// Errors: Invalid (it is missing, or younger than `newest`).
  [[nodiscard]] uvm::Result<Section> find(std::string_view name, std::uint16_t instance,
                                          std::uint16_t newest) const;
  /// Errors: Invalid (a section that is none of `titles`, nor one that may be skipped).
  [[nodiscard]] uvm::Status check_known(std::span<const std::string> titles) const;
  [[nodiscard]] const std::vector<Section>& all() const { return sections_; }

 private:
  std::vector<Section> sections_;
};

}  // namespace vmm::snapshot
