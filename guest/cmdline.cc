#include "guest/cmdline.h"

#include <algorithm>
#include <string>

#include "guest/byte_writer.h"
#include "guest/low_memory.h"

namespace guest {

uvm::Status add_cmdline(LoadPlan& plan, std::string_view text, std::uint64_t limit) {
  limit = std::min(limit, low_memory::kCommandLineBytes - 1);
  if (text.size() > limit) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "the command line has " + std::to_string(text.size()) +
                          " bytes, the kernel takes at most " + std::to_string(limit),
                      "shorten it by " + std::to_string(text.size() - limit) + " bytes");
  }
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    return uvm::Error(uvm::ErrorKind::Invalid,
                      "the command line has a NUL byte at offset " + std::to_string(nul) +
                          ", where the kernel would stop reading",
                      "remove it");
  }
  plan.segments.push_back(
      Segment::from_bytes("command line", low_memory::kCommandLine, ByteWriter().text(text).u8(0).take()));
  return uvm::ok();
}

}  // namespace guest
