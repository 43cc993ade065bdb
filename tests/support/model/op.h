// One step of a random test, complete in itself: what a sequence does depends on nothing else, so that steps
// can be left out of it one by one until only those that are needed for a failure are left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "uvm/access_mode.h"
#include "uvm/map_request.h"
#include "uvm/pin_table.h"
#include "uvm/protection.h"

namespace test::model {

inline constexpr std::size_t kSpaces = 4;
inline constexpr std::size_t kObjects = 3;
inline constexpr std::size_t kPins = 6;
inline constexpr std::uint64_t kPages = 32;        // of each space
inline constexpr std::uint64_t kObjectPages = 16;  // of each object, at first and at most
/// Looked at in a page: its first and its last eight bytes.
inline constexpr std::uint64_t kWords = 2;
inline constexpr std::uint64_t kWordOffset[kWords] = {0, uvm::kPageSize - 8};

/// The one object that nobody may write.
inline constexpr int kReadOnlyObject = 2;

enum class Do : std::uint8_t {
  Create,    // an empty space, where there is none
  Destroy,   // a space; its pins end first
  Map,       // [first, count) of a space, zeros or an object from `object_page` on
  Unmap,     //
  Protect,   //
  Inherit,   //
  Advise,    //
  Load,      // a guest's instruction: word `word` of page `first`
  Store,     //
  Execute,   //
  Read,      // uvm::Access
  Write,     //
  Fault,     // Space::fault of a kind
  Pin,       // [first, count) into a pin slot; what was there is unpinned first
  Unpin,     //
  Dma,       // a device writes a word of the `first`-th page (modulo their number) of a pin for writing
  Fork,      // `space` into the slot `child`; what was there is destroyed first
  Drop,      // all translations (property P0)
  Peek,      // a debugger's look, at what the mapping could ever allow
  Poke,      // a debugger's write
  Reshare,   // a private page that is as before becomes the object's again
  Truncate,  // `object` to `count` pages, down or up
  Limit,     // the space lives within a memory limit from now on, over a swap area
  Evict,     // up to `count` of its pages out of memory
  WireAll,   // the space as a whole: what is mapped, what will be, or both
  UnwireAll,
  Discard,  // the guest has done with [first, count)
  Extract,  // [first, count) becomes visible in the space `child`, from its page `to` on, with `protection`
};
inline constexpr std::size_t kKinds = static_cast<std::size_t>(Do::Extract) + 1;

struct Op {
  Do what = Do::Drop;
  std::size_t space = 0;
  std::size_t child = 0;
  std::size_t pin = 0;
  std::uint64_t first = 0;  // pages
  std::uint64_t count = 1;  // pages
  std::uint64_t word = 0;   // of kWords
  std::uint64_t value = 0;  // written
  int object = -1;          // -1: none
  std::uint64_t object_page = 0;
  std::uint64_t to = 0;  // page
  uvm::Protection protection = uvm::Protection::All;
  uvm::Protection max_protection = uvm::Protection::All;
  uvm::Sharing sharing = uvm::Sharing::Private;
  uvm::Inherit inherit = uvm::Inherit::Copy;
  uvm::Advice advice = uvm::Advice::Normal;
  uvm::Overlap overlap = uvm::Overlap::Replace;
  uvm::AccessKind access = uvm::AccessKind::Read;
  uvm::FaultKind fault = uvm::FaultKind::Plain;
  uvm::PinAccess pin_access = uvm::PinAccess::Write;
  uvm::ForkPolicy policy = uvm::ForkPolicy::Copy;
  uvm::WireScope scope = uvm::WireScope::Both;
  uvm::SharedWrites shared_writes = uvm::SharedWrites::Refuse;  // of a poke
  /// The page of every space that is looked at after the step.
  std::uint64_t probe = 0;
};

/// As it is written in a test: "{.what = Do::Store, .space = 1, .first = 3, .value = 0x1f},".
[[nodiscard]] std::string to_code(const Op& op);
[[nodiscard]] std::string to_code(const std::vector<Op>& ops);

}  // namespace test::model
