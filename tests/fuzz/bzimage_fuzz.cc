#include "tests/fuzz/boot_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto kernel = std::as_bytes(std::span(data, size));
  guest::fuzz::plan_as(guest::KernelFormat::BzImage, kernel);
  return 0;
}
