// A web server for the browsers of one user of this host.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/api/message.h"

namespace vmm::ui {

/// What a request is answered, and whether it is the last one.
struct Reply {
  enum class After : std::uint8_t { GoOn, End };

  api::Answer answer;
  After after = After::GoOn;
};

/// Thread: one.
class Loopback {
 public:
  /// `path` without the secret: "ui". Status 404 is for those it does not know.
  using Serve = std::function<Reply(std::string_view path)>;

  /// Listens at 127.0.0.1; port 0: the system chooses. Errors: Busy (somebody listens there), Permission,
  /// System.
  [[nodiscard]] static uvm::Result<std::unique_ptr<Loopback>> open(std::uint16_t port, Serve serve);
  virtual ~Loopback() = default;
  Loopback(const Loopback&) = delete;
  Loopback& operator=(const Loopback&) = delete;

  /// "http://127.0.0.1:PORT/SECRET/"
  [[nodiscard]] virtual std::string address() const = 0;
  /// Serves until a reply ends it (0), or SIGINT, SIGTERM or SIGHUP does, whose number it returns.
  [[nodiscard]] virtual int run() = 0;

 protected:
  Loopback() = default;
};

}  // namespace vmm::ui
