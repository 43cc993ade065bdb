// A request and its answer, without HTTP's clothes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "uvm/base/error.h"

namespace vmm::api {

enum class Method : std::uint8_t { Get, Put, Patch };
[[nodiscard]] std::string_view to_string(Method method);

struct Request {
  Method method = Method::Get;
  std::string path;  // "/drives/rootfs", without a query
  std::string body;
};

struct Answer {
  /// Stream: nothing is answered here, events are, until somebody ends the connection.
  enum class Kind : std::uint8_t { Whole, Stream };

  unsigned status = 204;
  std::string body;  // of 204: empty
  const char* type = "application/json";
  Kind kind = Kind::Whole;
  std::string policy{};  // Content-Security-Policy of a page; empty: it is none
};

[[nodiscard]] inline Answer no_content() {
  return {};
}
[[nodiscard]] inline Answer content(std::string json) {
  return {200, std::move(json)};
}
/// {"fault_message": TEXT}
[[nodiscard]] Answer fault(unsigned status, std::string_view text);
[[nodiscard]] inline Answer fault(const uvm::Error& error) {
  return fault(400, error.text());
}

}  // namespace vmm::api
