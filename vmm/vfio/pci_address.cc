#include "vmm/vfio/pci_address.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <optional>

#include "vmm/text.h"

namespace vmm::vfio {
namespace {

/// Takes the digits before `end` (or all, for '\0') off `text`.
std::optional<unsigned> take_number(std::string_view& text, char end, std::size_t most_digits,
                                    unsigned limit) {
  const std::size_t digits = end == '\0' ? text.size() : text.find(end);
  if (digits == std::string_view::npos || digits == 0 || digits > most_digits) return std::nullopt;
  unsigned number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + digits, number, 16);
  if (error != std::errc() || stop != text.data() + digits || number >= limit) return std::nullopt;
  text.remove_prefix(end == '\0' ? digits : digits + 1);
  return number;
}

}  // namespace

uvm::Result<PciAddress> parse_pci_address(std::string_view text) {
  std::string_view rest = text;
  std::optional<unsigned> domain = 0;
  if (rest.find(':') != rest.rfind(':')) domain = take_number(rest, ':', 4, 0x1'0000);
  const auto bus = take_number(rest, ':', 2, 0x100);
  const auto device = take_number(rest, '.', 2, 32);
  const auto function = take_number(rest, '\0', 1, 8);
  if (!domain || !bus || !device || !function) {
    return uvm::Error(uvm::ErrorKind::Invalid, "'" + one_line(text.substr(0, 40)) + "' is no PCI address",
                      "write it as lspci -D does: 0000:3b:00.0");
  }
  return PciAddress{static_cast<std::uint16_t>(*domain), static_cast<std::uint8_t>(*bus),
                    static_cast<std::uint8_t>(*device), static_cast<std::uint8_t>(*function)};
}

std::string to_string(const PciAddress& address) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04x:%02x:%02x.%x", unsigned{address.domain},
                unsigned{address.bus}, unsigned{address.device}, unsigned{address.function});
  return text.data();
}

}  // namespace vmm::vfio
