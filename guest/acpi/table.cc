#include "guest/acpi/table.h"

#include "guest/byte_writer.h"

namespace guest::acpi {
namespace {

constexpr std::string_view kOemId = "UVMM  ";
constexpr std::string_view kOemTableId = "UVMMPC  ";
constexpr std::string_view kCreatorId = "UVMM";
constexpr std::size_t kChecksumOffset = 9;
constexpr std::uint8_t kSpaceIo = 1;

}  // namespace

std::uint8_t checksum(std::span<const std::byte> bytes) {
  std::uint8_t sum = 0;
  for (const std::byte byte : bytes)
    sum = static_cast<std::uint8_t>(sum + std::to_integer<std::uint8_t>(byte));
  return static_cast<std::uint8_t>(-sum);
}

std::vector<std::byte> make_table(std::string_view signature, std::uint8_t revision,
                                  std::span<const std::byte> body) {
  ByteWriter table;
  table.text(signature).u32(kHeaderBytes + body.size()).u8(revision).u8(0);
  table.text(kOemId).text(kOemTableId).u32(1).text(kCreatorId).u32(1);
  table.append(body);
  table.patch(kChecksumOffset, checksum(table.view()));
  return table.take();
}

GenericAddress GenericAddress::io(std::uint16_t port, std::uint8_t bytes) {
  const std::uint8_t access = bytes == 4 ? 3 : bytes;
  return {kSpaceIo, static_cast<std::uint8_t>(bytes * 8), 0, access, port};
}

}  // namespace guest::acpi
