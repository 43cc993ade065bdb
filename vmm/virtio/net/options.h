// What the operator says about a network interface.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace vmm::virtio::net {

/// Where frames go: a tap interface of the host, or a passt process, which needs no rights.
enum class BackEnd : std::uint8_t { Tap, Passt };

using MacAddress = std::array<std::uint8_t, 6>;

struct Options {
  std::string id;  // in messages, and in the API; unique
  BackEnd back_end = BackEnd::Tap;
  std::string tap;                // Tap: the interface's name, made if it is not there
  std::string passt_socket;       // Passt: where one listens already; empty: one is started
  std::optional<MacAddress> mac;  // nothing: made from machine and id

  friend bool operator==(const Options&, const Options&) = default;
};

inline constexpr std::size_t kMostInterfaces = 8;  // of one machine

}  // namespace vmm::virtio::net
