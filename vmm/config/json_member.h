// One member of a JSON object on its way into a configuration: its path, its value, and the only ways to take
// the value out. Every error begins with the path ("machine-config.vcpu_count").
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/machine/config.h"

namespace vmm::config {

class JsonMember {
 public:
  /// Borrows the value.
  JsonMember(std::string path, const boost::json::value& value) : path_(std::move(path)), value_(value) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const boost::json::value& value() const { return value_; }
  [[nodiscard]] bool is_null() const;
  /// null, [] or {}.
  [[nodiscard]] bool is_empty() const;

  [[nodiscard]] uvm::Result<std::string> text() const;
  [[nodiscard]] uvm::Result<bool> truth() const;
  /// A whole number, 0 … `limit`. 2.0 and "2" are refused.
  [[nodiscard]] uvm::Result<std::uint64_t> number(std::uint64_t limit) const;

  /// That the object has all of these, and none of them null. Errors: Invalid, as of a wrong type too.
  [[nodiscard]] uvm::Status require(std::initializer_list<std::string_view> names) const;

  /// An error about this member: "path what".
  [[nodiscard]] uvm::Error error(std::string_view what, std::string way_out = {}) const;

 private:
  [[nodiscard]] uvm::Error wrong_type(std::string_view wanted) const;

  std::string path_;
  const boost::json::value& value_;
};

/// Turns "'x' is not one of …" into "path: 'x' is not one of …".
template <class T>
uvm::Result<T> at_path(const JsonMember& member, uvm::Result<T> result) {
  if (!result) return std::move(result).error().with_context(member.path());
  return result;
}

/// A key that an object may have, and what its value does to a configuration.
struct JsonKey {
  std::string_view name;
  uvm::Status (*apply)(const JsonMember& member, MachineConfig& config);
};

/// Of a key whose value, true or false, changes nothing here.
[[nodiscard]] uvm::Status accept_truth(const JsonMember& member, MachineConfig& config);

/// Applies every member of the object `value`; null members count as not given. `path` is empty at the top.
[[nodiscard]] uvm::Status apply_object(const JsonMember& object, std::span<const JsonKey> keys,
                                       MachineConfig& config);

}  // namespace vmm::config
