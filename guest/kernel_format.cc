#include "guest/kernel_format.h"

#include <array>

namespace guest {
namespace {

struct Name {
  KernelFormat format;
  std::string_view text;
};

constexpr std::array kNames{
    Name{KernelFormat::Auto, "auto"},           Name{KernelFormat::BzImage, "bzimage"},
    Name{KernelFormat::Elf64, "elf64"},         Name{KernelFormat::Pvh, "pvh"},
    Name{KernelFormat::Multiboot, "multiboot"}, Name{KernelFormat::FlatReal, "flat-real"},
    Name{KernelFormat::FlatLong, "flat-long"},
};

}  // namespace

std::string_view to_string(KernelFormat format) {
  for (const Name& name : kNames) {
    if (name.format == format) return name.text;
  }
  return "unknown";
}

std::optional<KernelFormat> kernel_format(std::string_view name) {
  for (const Name& known : kNames) {
    if (known.text == name) return known.format;
  }
  return std::nullopt;
}

std::string kernel_format_names() {
  std::string all;
  for (const Name& name : kNames) {
    if (!all.empty()) all += ", ";
    all += name.text;
  }
  return all;
}

}  // namespace guest
