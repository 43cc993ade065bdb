#include "vmm/api/body.h"

#include <algorithm>
#include <boost/json/value.hpp>
#include <span>

#include "vmm/config/json_member.h"
#include "vmm/config/nearest.h"
#include "vmm/text.h"

namespace vmm::api {
namespace {

using config::JsonMember;
using uvm::Error;
using uvm::ErrorKind;
using uvm::Result;

boost::json::string_view key(std::string_view name) {
  return {name.data(), name.size()};
}

Error missing(std::string_view name) {
  return {ErrorKind::Invalid, "the body needs " + std::string(name)};
}

}  // namespace

Result<BodyReader> BodyReader::of(const boost::json::value& object,
                                  std::initializer_list<std::string_view> known) {
  const auto* const members = object.if_object();
  if (members == nullptr) return Error(ErrorKind::Invalid, "the body must be an object");
  for (const auto& member : *members) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::ranges::find(known, name) != known.end()) continue;
    const std::string shown = one_line(name.substr(0, 80));
    if (known.size() == 0) return Error(ErrorKind::Invalid, "the body has no member " + shown);
    return Error(ErrorKind::Invalid, shown + " is not a key uvmm knows",
                 "the nearest valid key is " +
                     std::string(config::nearest(name, std::span(known.begin(), known.size()))));
  }
  return BodyReader(object);
}

const boost::json::value* BodyReader::find(std::string_view name) const {
  const auto* const member = object_->get_object().if_contains(key(name));
  return member == nullptr || member->is_null() ? nullptr : member;
}

Result<std::string> BodyReader::text(std::string_view name) const {
  const auto* const member = find(name);
  if (member == nullptr) return missing(name);
  return JsonMember(std::string(name), *member).text();
}

Result<std::string> BodyReader::text_or(std::string_view name, const std::string& otherwise) const {
  if (!has(name)) return otherwise;
  return text(name);
}

Result<bool> BodyReader::truth_or(std::string_view name, bool otherwise) const {
  const auto* const member = find(name);
  if (member == nullptr) return otherwise;
  return JsonMember(std::string(name), *member).truth();
}

Result<std::uint64_t> BodyReader::number(std::string_view name, std::uint64_t least,
                                         std::uint64_t most) const {
  const auto* const member = find(name);
  if (member == nullptr) return missing(name);
  const JsonMember value(std::string(name), *member);
  UVMM_TRY(const std::uint64_t number, value.number(most));
  if (number >= least) return number;
  return value.error("takes " + std::to_string(least) + " to " + std::to_string(most) + ", not " +
                     std::to_string(number));
}

Result<std::size_t> BodyReader::word(std::string_view name,
                                     std::initializer_list<std::string_view> words) const {
  UVMM_TRY(const std::string word, text(name));
  const auto* const found = std::ranges::find(words, word);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  return Error(ErrorKind::Invalid, std::string(name) + ": '" +
                                       one_line(std::string_view(word).substr(0, 80)) + "' is not one of " +
                                       config::alternatives(std::span(words.begin(), words.size())));
}

Result<BodyReader> BodyReader::object(std::string_view name,
                                      std::initializer_list<std::string_view> known) const {
  const auto* const member = find(name);
  if (member == nullptr) return missing(name);
  auto inner = of(*member, known);
  if (!inner) return std::move(inner).error().with_context(name);
  return inner;
}

Result<std::vector<BodyReader>> BodyReader::objects(std::string_view name,
                                                    std::initializer_list<std::string_view> known) const {
  std::vector<BodyReader> all;
  const auto* const member = find(name);
  if (member == nullptr) return all;
  const auto* const list = member->if_array();
  if (list == nullptr) return JsonMember(std::string(name), *member).error("must be an array");
  for (const boost::json::value& each : *list) {
    auto inner = of(each, known);
    if (!inner) return std::move(inner).error().with_context(name);
    all.push_back(*inner);
  }
  return all;
}

uvm::Status BodyReader::empty(std::string_view name, std::string_view why) const {
  const auto* const member = find(name);
  if (member == nullptr || JsonMember(std::string(name), *member).is_empty()) return uvm::ok();
  return Error(ErrorKind::Unsupported, std::string(name) + " is not supported: " + std::string(why),
               "leave it out");
}

}  // namespace vmm::api
