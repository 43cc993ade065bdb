#include "guest/byte_view.h"

#include <string>

#include "uvm/base/range.h"

namespace guest {

uvm::Error ByteView::truncated(std::string_view name, std::uint64_t offset, std::uint64_t size) const {
  return {uvm::ErrorKind::Invalid,
          std::string(name) + " at offset " + uvm::hex(offset) + " (" + std::to_string(size) +
              " bytes) lies past the end of the file, which has " + std::to_string(bytes_.size()) + " bytes",
          "the file is truncated or not a kernel; copy or build it again"};
}

}  // namespace guest
