// A snapshot with those it builds on: each level holds the pages that differ from the level below, the last
// one all of them.
//
// A level names its base by path and by identity. The identity is the sum of the base's state, which has the
// sums of all its memory: a base that was replaced or damaged is another one. A level that was collapsed
// holds the same memory in another way, and says which identity it had: those that build on it need not know.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "uvm/base/error.h"
#include "vmm/devices/state.h"
#include "vmm/snapshot/image_layout.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/memory_image.h"

namespace vmm::snapshot {

inline constexpr const char* kStateFile = "state";
inline constexpr std::size_t kMostLevels = 64;

/// What a state says of the snapshot it builds on.
class BaseLink final : public devices::Stateful {
 public:
  BaseLink() = default;
  BaseLink(std::string path, std::uint64_t identity) : path_(std::move(path)), identity_(identity) {}

  /// From the directory of the snapshot that has the link.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t identity() const { return identity_; }

  [[nodiscard]] std::string_view state_name() const override { return "base"; }
  void state(devices::StateFields& fields) override;

 private:
  std::string path_;  // empty: it builds on nothing
  std::uint64_t identity_ = 0;
};

/// What the state of a collapsed snapshot says of the one whose place it took.
class FormerIdentity final : public devices::Stateful {
 public:
  explicit FormerIdentity(std::uint64_t identity = 0) : identity_(identity) {}

  [[nodiscard]] std::uint64_t identity() const { return identity_; }

  [[nodiscard]] std::string_view state_name() const override { return "formerly"; }
  void state(devices::StateFields& fields) override { fields.field(identity_); }

 private:
  std::uint64_t identity_ = 0;
};

struct Level {
  std::string directory;
  std::uint64_t identity = 0;
  std::vector<std::byte> description;
  MemoryFile file;
  ImageLayout layout;
  BaseLink base;
  std::optional<FormerIdentity> formerly;  // of one that was collapsed

  [[nodiscard]] bool is(std::uint64_t wanted) const {
    return identity == wanted || (formerly && formerly->identity() == wanted);
  }
};

/// The snapshot's own level first. Errors: NotFound, Permission, Invalid: which level, and what of it.
[[nodiscard]] uvm::Result<std::vector<Level>> read_chain(const std::string& directory);

/// The level that one file of state describes; its directory is empty. Errors: as read_chain().
[[nodiscard]] uvm::Result<Level> read_level_of(const std::string& state_path);

/// The memory of the first level. Long runs stay in their files, short ones of upper levels are copied: a
/// mapping costs more than they do. Errors: as read_chain(), NoMemory.
[[nodiscard]] uvm::Result<MemoryImage> memory_of(const std::vector<Level>& levels, Verify verify);

/// To `base`, from a snapshot in `directory`; both are there. Errors: Invalid (no path for a line of text, a
/// chain that is too long, or one that `directory` is part of).
[[nodiscard]] uvm::Result<BaseLink> link_to(const std::vector<Level>& base, const std::string& directory);

}  // namespace vmm::snapshot
