#include "vmm/config/json_member.h"

#include <algorithm>
#include <boost/json/value.hpp>
#include <utility>
#include <vector>

#include "vmm/config/nearest.h"
#include "vmm/text.h"

namespace vmm::config {
namespace {

std::string_view kind_name(const boost::json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::null:
      return "null";
    case boost::json::kind::bool_:
      return "true or false";
    case boost::json::kind::int64:
    case boost::json::kind::uint64:
      return "a whole number";
    case boost::json::kind::double_:
      return "a number that isn't whole";
    case boost::json::kind::string:
      return "a string";
    case boost::json::kind::array:
      return "an array";
    case boost::json::kind::object:
      return "an object";
  }
  return "something else";
}

std::string join(std::string_view path, std::string_view name) {
  constexpr std::size_t kShown = 80;  // bytes of a foreign key that a message repeats
  const std::string shown = one_line(name.substr(0, kShown)) + (name.size() > kShown ? "…" : "");
  return path.empty() ? shown : std::string(path) + "." + shown;
}

}  // namespace

bool JsonMember::is_null() const {
  return value_.is_null();
}

bool JsonMember::is_empty() const {
  return value_.is_null() || (value_.is_array() && value_.get_array().empty()) ||
         (value_.is_object() && value_.get_object().empty());
}

uvm::Error JsonMember::error(std::string_view what, std::string way_out) const {
  return {uvm::ErrorKind::Invalid, (path_.empty() ? "the configuration" : path_) + " " + std::string(what),
          std::move(way_out)};
}

uvm::Error JsonMember::wrong_type(std::string_view wanted) const {
  return error("must be " + std::string(wanted) + ", not " + std::string(kind_name(value_)));
}

uvm::Result<std::string> JsonMember::text() const {
  const auto* string = value_.if_string();
  if (string == nullptr) return wrong_type("a string");
  return std::string(string->data(), string->size());
}

uvm::Result<bool> JsonMember::truth() const {
  const auto* truth = value_.if_bool();
  if (truth == nullptr) return wrong_type("true or false");
  return *truth;
}

uvm::Result<std::uint64_t> JsonMember::number(std::uint64_t limit) const {
  const std::string range = "takes 0 to " + std::to_string(limit);
  if (const auto* number = value_.if_uint64()) {
    if (*number > limit) return error(range + ", not " + std::to_string(*number));
    return *number;
  }
  const auto* number = value_.if_int64();
  if (number == nullptr) return wrong_type("a whole number");
  if (*number < 0 || static_cast<std::uint64_t>(*number) > limit) {
    return error(range + ", not " + std::to_string(*number));
  }
  return static_cast<std::uint64_t>(*number);
}

uvm::Status JsonMember::require(std::initializer_list<std::string_view> names) const {
  const auto* const members = value_.if_object();
  if (members == nullptr) return wrong_type("an object");
  for (const std::string_view name : names) {
    const auto* const member = members->if_contains(boost::json::string_view(name.data(), name.size()));
    if (member == nullptr || member->is_null()) return error("needs " + std::string(name));
  }
  return uvm::ok();
}

uvm::Status accept_truth(const JsonMember& member, MachineConfig& /*config*/) {
  UVMM_CHECK(member.truth());
  return uvm::ok();
}

uvm::Status apply_object(const JsonMember& object, std::span<const JsonKey> keys, MachineConfig& config) {
  const auto* members = object.value().if_object();
  if (members == nullptr)
    return object.error("must be an object, not " + std::string(kind_name(object.value())));
  for (const auto& pair : *members) {
    const std::string_view name(pair.key().data(), pair.key().size());
    const JsonMember member(join(object.path(), name), pair.value());
    const auto found = std::ranges::find(keys, name, &JsonKey::name);
    if (found == keys.end()) {
      std::vector<std::string_view> names;
      for (const JsonKey& key : keys) names.push_back(key.name);
      return member.error("is not a key uvmm knows",
                          "the nearest valid key is " + join(object.path(), nearest(name, names)));
    }
    if (member.is_null()) continue;
    UVMM_CHECK(found->apply(member, config));
  }
  return uvm::ok();
}

}  // namespace vmm::config
