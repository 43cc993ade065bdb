// The other side of the pin socket: guest memory in a device process.
//
//     UVMM_TRY(auto guest, vmm::pins::Client::connect("/run/vm.pins", "my-nic"));
//     UVMM_TRY(auto ring, guest.pin(*uvm::GpaRange::from_size(uvm::Gpa(0x100000), 0x4000)));
//     ring.bytes()[0] = std::byte{1};        // the guest sees it; ring's end unpins
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ept/host/shared_view.h"
#include "uvm/base/error.h"
#include "uvm/base/range.h"
#include "uvm/pin_table.h"
#include "vmm/kvm/fd.h"

namespace vmm::pins {

class Channel;

/// Guest memory that is pinned and mapped here. Move-only. Its end unmaps and unpins; the bytes stay in reach
/// until then, whatever the guest, a debugger or a fork does. May outlive its Client.
class RemotePin {
 public:
  RemotePin(RemotePin&&) noexcept;
  RemotePin& operator=(RemotePin&&) noexcept;
  ~RemotePin();

  [[nodiscard]] const std::vector<uvm::GpaRange>& ranges() const { return ranges_; }
  /// The bytes of a range, in one piece; by default of the first. Read-only memory when it was pinned for
  /// reading. The guest can change them at any time.
  [[nodiscard]] std::span<std::byte> bytes(std::size_t range = 0) const;

  /// Unpins now, and says whether that was heard. Errors: PagerIo (uvmm has gone; nothing is pinned then).
  [[nodiscard]] uvm::Status unpin();

 private:
  friend class Client;
  RemotePin();

  std::shared_ptr<Channel> channel_;  // null after a move or unpin()
  std::uint64_t id_ = 0;
  std::vector<uvm::GpaRange> ranges_;
  std::vector<ept::host::SharedView> views_;
};

/// A connection. Move-only; not for use by two threads at once. When it and all its pins have ended, uvmm
/// knows that the device has gone.
class Client {
 public:
  /// `name` (letters, digits and -_.:, at most 63) is what uvmm shows for it. Errors: NotFound, Permission
  /// (no such socket, not for you), Invalid (another version, a bad name), PagerIo (uvmm closed it).
  [[nodiscard]] static uvm::Result<Client> connect(const std::string& path, const std::string& name);

  /// All or nothing; waits while pages are brought in. Errors: Invalid (refused: the text is uvmm's),
  /// NoMemory (address space here), PagerIo (uvmm has gone).
  [[nodiscard]] uvm::Result<RemotePin> pin(const std::vector<uvm::GpaRange>& ranges,
                                           uvm::PinAccess access = uvm::PinAccess::Write,
                                           uvm::ForkPolicy policy = uvm::ForkPolicy::Copy);
  [[nodiscard]] uvm::Result<RemotePin> pin(uvm::GpaRange range, uvm::PinAccess access = uvm::PinAccess::Write,
                                           uvm::ForkPolicy policy = uvm::ForkPolicy::Copy) {
    return pin(std::vector{range}, access, policy);
  }
  /// An eventfd: writing to it interrupts the guest. Errors as pin().
  [[nodiscard]] uvm::Result<Fd> bell();

 private:
  explicit Client(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}
  std::shared_ptr<Channel> channel_;
};

}  // namespace vmm::pins
