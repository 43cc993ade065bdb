// The one owner of a file descriptor in uvmm: KVM's fds, eventfds, memfds, sockets, files.
#pragma once

#include <string>
#include <utility>

#include "uvm/base/error.h"

namespace ept::host {

/// Owns one open file descriptor, or none (-1). Move-only; closes on destruction. A close error is not
/// reported: nothing uvmm opens through it buffers writes. Thread: one owner at a time; the number itself may
/// be used by any thread while the owner lives.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int number) : number_(number) {}
  UniqueFd(UniqueFd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const { return number_; }
  [[nodiscard]] bool valid() const { return number_ >= 0; }
  [[nodiscard]] explicit operator bool() const { return valid(); }
  /// Gives the number away; the caller closes it.
  [[nodiscard]] int release() { return std::exchange(number_, -1); }
  /// Closes now. errno is left as it was, so that an error path may close before it reports.
  void reset();

 private:
  int number_ = -1;
};

/// The same open file through a descriptor of its own that can only read. `what` heads the error. Errors:
/// Permission, NotFound (there is no /proc), System.
[[nodiscard]] uvm::Result<UniqueFd> reopen_for_reading(int fd, const std::string& what);

}  // namespace ept::host
