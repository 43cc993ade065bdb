#include "vmm/cli/builtins_command.h"

#include <algorithm>
#include <string>
#include <string_view>

#include "guest/programs/programs.h"
#include "vmm/cli/output.h"
#include "vmm/config/values.h"

namespace vmm::cli {
namespace {

using namespace config;

void append_padded(std::string& line, std::string_view text, std::size_t width) {
  line += text;
  line.append(width > text.size() ? width - text.size() : 0, ' ');
  line += "  ";
}

}  // namespace

int list_builtins_command() {
  std::size_t width = 0;
  for (const auto& program : guest::programs::all()) width = std::max(width, program.name.size());
  std::string out;
  for (const auto& program : guest::programs::all()) {
    append_padded(out, program.name, width);
    append_padded(out, program.mode == guest::programs::Mode::Real16 ? "real" : "long", 4);
    append_padded(out, ">= " + format_size(program.min_memory), 8);
    out += program.summary;
    if (!program.arguments.empty()) out += " [" + std::string(program.arguments) + "]";
    out += '\n';
  }
  return static_cast<int>(print(out));
}

}  // namespace vmm::cli
