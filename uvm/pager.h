// The pager contract: how an object gets its pages (NetBSD uvm_pager.h, pgo_get).
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "uvm/base/error.h"
#include "uvm/base/units.h"
#include "uvm/frame.h"
#include "uvm/protection.h"

namespace uvm {

struct PagerRequest {
  ObjectOffset offset;                   // bytes, page-aligned
  std::uint64_t pages = 1;               // how many the caller could use; an upper bound, at least 1
  AccessKind access = AccessKind::Read;  // Write only for a write that reaches the object itself
};

/// What becomes of the pages that get() gave.
enum class Tenure : std::uint8_t {
  Kept,       // they stay as long as the pager, or until it says otherwise (Object::invalidate)
  Revocable,  // somebody outside can take them away at any moment: a file that others can cut
  None,       // there are none: get() refuses
};

/// A file as all processes of the host know it.
struct ObjectIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  friend auto operator<=>(const ObjectIdentity&, const ObjectIdentity&) = default;
};

/// Supplies the frames of one object. Implementations do the I/O; uvm calls with its map lock released and
/// checks afterwards that the map is what it was, unless the pager answers at once. Thread-safe: several
/// faults may ask at once.
class Pager {
 public:
  Pager() = default;
  Pager(const Pager&) = delete;
  Pager& operator=(const Pager&) = delete;
  virtual ~Pager() = default;

  /// Makes the page at `offset` present and says which frames hold it and what follows: 1 <= count <= pages,
  /// as many as cost nothing more (a RAM object answers with all of them, so one whose pages are Kept is
  /// asked for pages before the wanted one too). May sleep. Errors: EndOfObject (at or past size()), PagerIo,
  /// NoMemory, Protection (a write the backing cannot take).
  [[nodiscard]] virtual Result<FrameRun> get(const PagerRequest& request) = 0;

  /// A pin holds `frame`, which get() gave: until let_go() was called as often, its bytes stay where they
  /// are, also when the object shrinks or its pages are replaced (rule D8). False: the page is gone already,
  /// ask again. Called with the object's lock held: it neither sleeps nor takes locks but of rank Leaf. A
  /// backing that gives no page back while it lives, or whose pages are the host's to keep, has nothing to
  /// do.
  [[nodiscard]] virtual bool hold(Frame /*frame*/) { return true; }
  virtual void let_go(Frame /*frame*/) {}

  /// Whether get() only names memory that is there: it reads nothing, and nobody waits for it. Then it may be
  /// called with the locks of map and amap held; never changes.
  [[nodiscard]] virtual bool answers_at_once() const { return false; }

  /// Makes whole pages zeros that cost nothing, in place: whoever maps them sees that at once. False: this
  /// backing does not do that, and nothing has changed. Called with the object's lock held, as hold() is. No
  /// page of them is held.
  [[nodiscard]] virtual bool discard(ObjectOffset /*first*/, std::uint64_t /*pages*/) { return false; }

  /// Pins keep private copies of Revocable pages; of a shared mapping they hold what the file has.
  [[nodiscard]] virtual Tenure tenure() const { return Tenure::Kept; }

  /// Bytes; rounded up to pages by the caller.
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// What is left of them: less than size() when somebody cut a file under us.
  [[nodiscard]] virtual std::uint64_t present_size() const { return size(); }
  /// The most a shared mapping of this backing may ever be given (a read-only descriptor: no Write).
  [[nodiscard]] virtual Protection max_protection() const = 0;
  /// For listings that compare spaces of several processes; nothing where nobody else can have the object.
  [[nodiscard]] virtual ObjectIdentity identity() const { return {}; }
  /// For listings and errors: "ram", "file /boot/vmlinuz".
  [[nodiscard]] virtual std::string_view name() const = 0;
};

}  // namespace uvm
