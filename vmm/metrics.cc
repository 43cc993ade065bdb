#include "vmm/metrics.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace vmm {

void MetricWriter::add(std::string_view name, std::string_view help, std::string_view type,
                       const std::string& value, std::string_view labels) {
  auto family = std::ranges::find(families_, name, &Family::name);
  if (family == families_.end()) {
    const std::string known(name);
    families_.push_back(
        {known,
         "# HELP " + known + " " + std::string(help) + "\n# TYPE " + known + " " + std::string(type) + "\n",
         {}});
    family = families_.end() - 1;
  }
  family->samples += name;
  if (!labels.empty()) family->samples += "{" + std::string(labels) + "}";
  family->samples += " " + value + "\n";
}

void MetricWriter::counters(std::string_view name, std::string_view help, std::string_view labels,
                            std::initializer_list<std::pair<std::string_view, std::uint64_t>> kinds) {
  for (const auto& [kind, value] : kinds) {
    counter(name, help, value, std::string(labels) + "," + label("kind", kind));
  }
}

void MetricWriter::seconds(std::string_view name, std::string_view help, std::chrono::nanoseconds value,
                           std::string_view labels) {
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%lld.%09lld", static_cast<long long>(value.count() / kNanoseconds),
                static_cast<long long>(value.count() % kNanoseconds));
  add(name, help, "counter", text.data(), labels);
}

std::string MetricWriter::text() const {
  std::string all;
  for (const Family& family : families_) all += family.heading + family.samples;
  return all;
}

std::string MetricWriter::label(std::string_view name, std::string_view value) {
  std::string text = std::string(name) + "=\"";
  for (const char byte : value) {
    if (byte == '\n') {
      text += "\\n";
      continue;
    }
    if (byte == '"' || byte == '\\') text += '\\';
    text += byte;
  }
  return text + "\"";
}

void MetricSources::add(Source source) {
  const uvm::MutexLock lock(mutex_);
  sources_.push_back(std::move(source));
}

std::string MetricSources::text() const {
  const uvm::MutexLock lock(mutex_);
  MetricWriter writer;
  for (const Source& source : sources_) source(writer);
  return writer.text();
}

}  // namespace vmm
