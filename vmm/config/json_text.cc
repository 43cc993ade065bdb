#include "vmm/config/json_text.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_stack.hpp>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "vmm/config/check_text.h"
#include "vmm/text.h"

namespace vmm::config {
namespace {

namespace json = boost::json;
using json::error_code;
using json::string_view;

/// Builds the tree as boost::json::parser does, and remembers the keys of every open object.
class TreeBuilder {
 public:
  static constexpr std::size_t max_object_size = 4096;  // members
  static constexpr std::size_t max_array_size = 65536;  // elements
  static constexpr std::size_t max_key_size = kMaxConfigText;
  static constexpr std::size_t max_string_size = kMaxConfigText;

  TreeBuilder() { stack_.reset(); }
  json::value release() { return stack_.release(); }
  const std::string& duplicate() const { return duplicate_; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    open_.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t count, error_code&) {
    open_.pop_back();
    stack_.push_object(count);
    return true;
  }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t count, error_code&) {
    stack_.push_array(count);
    return true;
  }
  bool on_key_part(string_view text, std::size_t, error_code&) {
    key_.append(text.data(), text.size());
    stack_.push_chars(text);
    return true;
  }
  bool on_key(string_view text, std::size_t, error_code& error) {
    key_.append(text.data(), text.size());
    if (!open_.back().insert(key_).second) {
      duplicate_ = key_;
      error = json::error::syntax;
      return false;
    }
    key_.clear();
    stack_.push_key(text);
    return true;
  }
  bool on_string_part(string_view text, std::size_t, error_code&) {
    stack_.push_chars(text);
    return true;
  }
  bool on_string(string_view text, std::size_t, error_code&) {
    stack_.push_string(text);
    return true;
  }
  bool on_number_part(string_view, error_code&) { return true; }
  bool on_int64(std::int64_t value, string_view, error_code&) {
    stack_.push_int64(value);
    return true;
  }
  bool on_uint64(std::uint64_t value, string_view, error_code&) {
    stack_.push_uint64(value);
    return true;
  }
  bool on_double(double value, string_view, error_code&) {
    stack_.push_double(value);
    return true;
  }
  bool on_bool(bool value, error_code&) {
    stack_.push_bool(value);
    return true;
  }
  bool on_null(error_code&) {
    stack_.push_null();
    return true;
  }
  // The parser is never told to take comments, but wants to be able to call these.
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }

 private:
  json::value_stack stack_;
  std::vector<std::set<std::string>> open_;
  std::string key_;
  std::string duplicate_;
};

std::string place(std::string_view text, std::size_t offset) {
  std::size_t line = 1;
  std::size_t start = 0;
  for (std::size_t at = 0; at < offset; ++at) {
    if (text[at] != '\n') continue;
    ++line;
    start = at + 1;
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(offset - start + 1);
}

uvm::Status check_bytes(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text.substr(at));
    if (length == 0) return invalid("a byte that isn't UTF-8 at " + place(text, at));
    if (text[at] == '\0') return invalid("a NUL byte at " + place(text, at));
    at += length;
  }
  return uvm::ok();
}

/// The position behind the string that begins at `at`; the end of the text when nothing closes it.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

/// `text` with spaces for its comments; lines and columns stay. Boost.JSON 1.81 can skip comments itself, but
/// reports an error in one (a single slash) at a position outside of the text.
std::string without_comments(std::string_view text) {
  std::string out(text);
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    if (text[at] == '"') {
      at = string_end(text, at);
      continue;
    }
    if (text.substr(at, 2) == "//") {
      end = text.find('\n', at);
    } else if (text.substr(at, 2) == "/*") {
      end = text.find("*/", at + 2);
      if (end != std::string_view::npos) end += 2;
    } else {
      at = end;
      continue;
    }
    for (end = std::min(end, text.size()); at < end; ++at) {
      if (out[at] != '\n') out[at] = ' ';
    }
  }
  return out;
}

uvm::Error describe(error_code error, std::string_view text, std::size_t offset) {
  const std::string at = " at " + place(text, offset);
  if (error == json::error::incomplete) return invalid("the text ends before the JSON does," + at);
  if (error == json::error::extra_data) return invalid("something follows the JSON's end" + at);
  if (error == json::error::too_deep) {
    return invalid("more than " + std::to_string(kMaxJsonDepth) + " arrays and objects inside each other" +
                   at);
  }
  if (error == json::error::syntax) {
    return invalid("not JSON" + at, "look there for a missing comma, quote or bracket");
  }
  return invalid(error.message() + at);
}

}  // namespace

uvm::Result<json::value> parse_json(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // what editors of another system put in front
  if (text.size() > kMaxConfigText) {
    return invalid("more than " + std::to_string(kMaxConfigText >> 20U) + " MiB of text");
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return invalid("no JSON in it, it is empty");
  UVMM_CHECK(check_bytes(text));
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  json::basic_parser<TreeBuilder> parser(options);
  error_code error;
  const std::string plain = without_comments(text);
  const std::size_t consumed =
      std::min(parser.write_some(false, plain.data(), plain.size(), error), text.size());
  if (!parser.handler().duplicate().empty()) {
    return invalid("the key \"" + one_line(parser.handler().duplicate().substr(0, 80)) +
                   "\" is there twice, again at " + place(text, consumed));
  }
  if (!error && consumed < text.size()) error = json::error::extra_data;
  if (error) return describe(error, text, consumed);
  return parser.handler().release();
}

}  // namespace vmm::config
