#include "vmm/api/metrics_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cerrno>
#include <chrono>

#include "vmm/kvm/fd.h"

namespace vmm::api {
namespace {

namespace json = boost::json;

/// The samples of Prometheus' text; values stay as they are written.
json::object samples_in(std::string_view text) {
  json::object samples;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const std::size_t blank = line.rfind(' ');
    if (line.starts_with('#') || blank == std::string_view::npos) continue;
    const std::string value(line.substr(blank + 1));
    json::value& sample = samples[json::string_view(line.data(), blank)];
    if (value.find('.') == std::string::npos) {
      sample = std::stoull(value);
    } else {
      sample = std::stod(value);
    }
  }
  return samples;
}

}  // namespace

uvm::Status append_metrics(const std::string& path, std::string_view text) {
  if (path.empty()) {
    return uvm::Error(uvm::ErrorKind::Invalid, "no file is named for metrics", "PUT /metrics first");
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const json::object line{
      {"utc_timestamp_ms", std::chrono::duration_cast<std::chrono::milliseconds>(now).count()},
      {"metrics", samples_in(text)}};
  const std::string bytes = json::serialize(line) + "\n";
  constexpr mode_t kMode = 0640;
  const Fd file(
      ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, kMode));
  if (!file) return uvm::Error::from_errno(errno, "metrics " + path);
  if (::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size())) return uvm::ok();
  return uvm::Error::from_errno(errno, "metrics " + path);
}

}  // namespace vmm::api
