// The table that `uvmm doctor` prints.
#include <algorithm>
#include <array>
#include <string>

#include "vmm/kvm/probe.h"

namespace vmm::kvm {

namespace {

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::Yes:
      return "yes";
    case Verdict::Degraded:
      return "partly";
    case Verdict::No:
      return "no";
  }
  return "no";
}

struct Widths {
  std::size_t name = 0;
  std::size_t value = 0;
};

/// Longer values are not allowed to push the last column off the screen.
constexpr std::size_t kMaxValue = 52;

void pad(std::string& line, std::size_t column) {
  line.append(line.size() < column ? column - line.size() : 2, ' ');
}

void append_row(std::string& text, const Finding& finding, const Widths& widths) {
  std::string line = "  " + finding.name;
  std::size_t column = 2 + widths.name + 2;
  pad(line, column);
  line += to_string(finding.verdict);
  column += 8;
  pad(line, column);
  line += finding.value;
  pad(line, column + widths.value + 2);
  line += finding.consequence;
  text += line;
  text += '\n';
}

}  // namespace

std::string format(const Report& report) {
  Widths widths;
  for (const Finding& finding : report.findings) {
    widths.name = std::max(widths.name, finding.name.size());
    widths.value = std::max(widths.value, std::min(finding.value.size(), kMaxValue));
  }
  std::string text;
  std::string_view area;
  for (const Finding& finding : report.findings) {
    if (finding.area != area) {
      area = finding.area;
      text += area;
      text += '\n';
    }
    append_row(text, finding, widths);
  }
  return text;
}

}  // namespace vmm::kvm
