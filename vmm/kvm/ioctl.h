// The ioctl call and buffers with a flexible tail. Internal to vmm/kvm, and to vmm/vfio, whose calls are of
// the same kind.
#pragma once

#include <sys/ioctl.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace vmm::kvm {

/// ioctl that starts again after a signal. Not for KVM_RUN, where the signal is the message.
template <class T>
int call(int fd, unsigned long request, T argument) {
  int result;
  do {
    result = ::ioctl(fd, request, argument);
  } while (result < 0 && errno == EINTR);
  return result;
}

/// A Header with `count` and Entry objects right behind it, the shape of KVM's variable-sized arguments.
template <class Header, class Entry>
class Flexible {
 public:
  explicit Flexible(std::size_t entries) : words_((sizeof(Header) + entries * sizeof(Entry) + 7) / 8) {
    header().count = static_cast<std::uint32_t>(entries);
  }
  explicit Flexible(std::span<const Entry> entries) : Flexible(entries.size()) {
    if (!entries.empty()) std::memcpy(tail(), entries.data(), entries.size_bytes());
  }

  [[nodiscard]] Header& header() { return *reinterpret_cast<Header*>(words_.data()); }
  /// The entries the header counts now; the kernel may have lowered or raised that.
  [[nodiscard]] std::vector<Entry> entries() {
    const std::size_t room = (words_.size() * 8 - sizeof(Header)) / sizeof(Entry);
    std::vector<Entry> copy(header().count < room ? header().count : room);
    if (!copy.empty()) std::memcpy(copy.data(), tail(), copy.size() * sizeof(Entry));
    return copy;
  }

 private:
  [[nodiscard]] void* tail() { return reinterpret_cast<std::byte*>(words_.data()) + sizeof(Header); }

  std::vector<std::uint64_t> words_;
};

}  // namespace vmm::kvm
