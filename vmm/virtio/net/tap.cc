#include "vmm/virtio/net/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "vmm/log.h"
#include "vmm/text.h"

namespace vmm::virtio::net {
namespace {

constexpr const char* kTun = "/dev/net/tun";
/// What the guest takes, in the kernel's bits.
unsigned offloads_of(std::uint64_t features) {
  if ((features & feature::kGuestCsum) == 0) return 0;
  unsigned bits = TUN_F_CSUM;
  if ((features & feature::kGuestTso4) != 0) bits |= TUN_F_TSO4;
  if ((features & feature::kGuestTso6) != 0) bits |= TUN_F_TSO6;
  if ((features & feature::kGuestEcn) != 0 && (bits & (TUN_F_TSO4 | TUN_F_TSO6)) != 0) bits |= TUN_F_TSO_ECN;
  return bits;
}

std::string command_for(const std::string& name) {
  return "let root make it for you: ip tuntap add dev " + name + " mode tap user $USER && ip link set " +
         name + " up; or use passt, which needs no rights";
}

}  // namespace

uvm::Result<std::unique_ptr<Tap>> Tap::open(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name.find_first_of("/ \t\n%:") != std::string::npos) {
    return uvm::Error(uvm::ErrorKind::Invalid, "tap interface '" + one_line(name.substr(0, 80)) + "'",
                      "a name has 1 to 15 characters, without '/', ':', '%' and spaces");
  }
  Fd fd(::open(kTun, O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    return uvm::Error::from_errno(errno, "tap interface " + name + ": " + kTun,
                                  errno == EACCES || errno == EPERM
                                      ? "use passt, which needs no rights, or give this user the right to it"
                                      : "load it: modprobe tun; or use passt");
  }
  std::unique_ptr<Tap> tap(new Tap(std::move(fd), name));
  UVMM_CHECK(tap->attach());
  UVMM_CHECK(tap->set_up());
  return tap;
}

uvm::Error Tap::refused(int number) const {
  const std::string where = "tap interface " + name_;
  switch (number) {
    case EPERM:
    case EACCES:
      return uvm::Error::from_errno(number, where, command_for(name_));
    case EBUSY:
      return uvm::Error::from_errno(number, where + " is another process's",
                                    "end that one, or give each machine an interface of its own");
    case EINVAL:
      return {uvm::ErrorKind::Invalid, where + ": there is an interface of another kind by that name",
              "choose another name; to be on the same network, make both ports of one bridge"};
    default:
      return uvm::Error::from_errno(number, where);
  }
}

uvm::Status Tap::attach() {
  int number = 0;
  // One that was made with multi_queue can be attached to as such only.
  for (const int more : {0, IFF_MULTI_QUEUE}) {
    ifreq request{};
    std::ranges::copy(name_, static_cast<char*>(request.ifr_name));
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | more);
    if (::ioctl(fd_.get(), TUNSETIFF, &request) == 0) return uvm::ok();
    number = errno;
    if (number != EINVAL) break;
  }
  return refused(number);
}

uvm::Status Tap::set_up() {
  const int header_bytes = sizeof(Header);
  if (::ioctl(fd_.get(), TUNSETVNETHDRSZ, &header_bytes) != 0) {
    return uvm::Error::from_errno(errno, "tap interface " + name_ + ": TUNSETVNETHDRSZ");
  }
  return agree(0);
}

uvm::Status Tap::agree(std::uint64_t features) {
  if (::ioctl(fd_.get(), TUNSETOFFLOAD, static_cast<unsigned long>(offloads_of(features))) == 0) {
    return uvm::ok();
  }
  return uvm::Error::from_errno(errno, "tap interface " + name_ + ": TUNSETOFFLOAD");
}

Outcome Tap::send(const Header& header, std::span<const iovec> parts) {
  Header copy = header;
  parts_.assign(1, {&copy, sizeof copy});
  parts_.insert(parts_.end(), parts.begin(), parts.end());
  while (::writev(fd_.get(), parts_.data(), static_cast<int>(parts_.size())) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Outcome::Later;
    if (errno == EBADFD) return Outcome::Gone;
    if (errno == EIO && !std::exchange(is_down_, true)) {
      log::event(log::Level::Warning, "frames of the guest are dropped: the tap interface is down",
                 {{"interface", name_}, {"way_out", "ip link set " + name_ + " up"}});
    }
    return Outcome::Refused;
  }
  is_down_ = false;
  return Outcome::Done;
}

Outcome Tap::receive(std::span<const iovec> parts, Incoming& frame) {
  long_rest_.resize(kMostFrameBytes);
  frame.header = {};
  parts_.assign(1, {&frame.header, sizeof frame.header});
  parts_.insert(parts_.end(), parts.begin(), parts.end());
  parts_.push_back({long_rest_.data(), long_rest_.size()});
  ssize_t got = -1;
  while ((got = ::readv(fd_.get(), parts_.data(), static_cast<int>(parts_.size()))) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Outcome::Later;
    return errno == EBADFD ? Outcome::Gone : Outcome::Refused;
  }
  if (got < static_cast<ssize_t>(sizeof frame.header)) return Outcome::Refused;
  frame.bytes = static_cast<std::size_t>(got) - sizeof frame.header;
  std::size_t room = 0;
  for (const iovec& part : parts) room += part.iov_len;
  frame.rest = std::span(long_rest_).first(frame.bytes > room ? frame.bytes - room : 0);
  return Outcome::Done;
}

}  // namespace vmm::virtio::net
