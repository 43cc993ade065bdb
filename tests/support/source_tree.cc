#include "tests/support/source_tree.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <regex>
#include <sstream>

namespace test {
namespace {

/// The paths git knows, new files that it doesn't ignore included; nothing where it fails.
std::vector<std::string> git_paths(const std::string& root) {
  const std::string command = "git -c safe.directory='*' -C '" + root +
                              "' ls-files -z --cached --others --exclude-standard 2>/dev/null";
  std::string output;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  if (!pipe) return {};
  char block[4096];
  for (std::size_t count = 0; (count = std::fread(block, 1, sizeof block, pipe.get())) > 0;) {
    output.append(block, count);
  }
  std::vector<std::string> paths;
  for (std::size_t at = 0; at < output.size();) {
    const std::size_t end = output.find('\0', at);
    if (end == std::string::npos) break;
    paths.push_back(output.substr(at, end - at));
    at = end + 1;
  }
  return paths;
}

std::vector<std::string> walked_paths(const std::string& root) {
  std::vector<std::string> paths;
  for (auto walk = std::filesystem::recursive_directory_iterator(root); walk != end(walk); ++walk) {
    const std::string path = std::filesystem::relative(walk->path(), root).string();
    if (walk->is_directory() && (path == "build" || path == ".git" || path == ".cache")) {
      walk.disable_recursion_pending();
    } else if (walk->is_regular_file()) {
      paths.push_back(path);
    }
  }
  return paths;
}

/// Copies a literal's quotes and blanks what is between them; returns the position behind it.
std::size_t blank_literal(std::string_view text, std::size_t at, std::string& out) {
  const char quote = text[at];
  out += quote;
  for (++at; at < text.size() && text[at] != quote && text[at] != '\n'; ++at) {
    out += ' ';
    if (text[at] == '\\' && at + 1 < text.size()) {
      ++at;
      out += text[at] == '\n' ? '\n' : ' ';
    }
  }
  if (at < text.size()) out += text[at++];
  return at;
}

void blank(std::string_view text, std::string& out) {
  for (const char c : text) out += c == '\n' ? '\n' : ' ';
}

std::size_t blank_until(std::string_view text, std::size_t at, std::size_t end, std::string& out) {
  end = std::min(end, text.size());
  blank(text.substr(at, end - at), out);
  return end;
}

/// R"tag( … )tag"
std::size_t blank_raw_literal(std::string_view text, std::size_t at, std::string& out) {
  const std::size_t open = text.find('(', at);
  if (open == std::string_view::npos) return blank_until(text, at, text.size(), out);
  const std::string close = ")" + std::string(text.substr(at + 2, open - at - 2)) + "\"";
  const std::size_t end = text.find(close, open);
  return blank_until(text, at, end == std::string_view::npos ? text.size() : end + close.size(), out);
}

/// The end of a preprocessor line with what backslashes add to it.
std::size_t directive_end(std::string_view text, std::size_t at) {
  while (true) {
    const std::size_t end = text.find('\n', at);
    if (end == std::string_view::npos) return text.size();
    if (end == 0 || text[end - 1] != '\\') return end;
    at = end + 1;
  }
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// One apostrophe between digits is no literal.
bool separates_digits(std::string_view text, std::size_t at) {
  return at > 0 && at + 1 < text.size() && is_word(text[at - 1]) && is_word(text[at + 1]);
}

enum class Brace { Scope, Data, Function };

Brace kind_of(std::string_view before) {
  static const std::regex scope(R"(\b(namespace|class|struct|union|enum|extern)\b[^()=]*$)");
  static const std::regex data(R"((=|return|\()\s*$|=[^()]*$)");
  const std::string statement(before);
  if (std::regex_search(statement, scope)) return Brace::Scope;
  if (std::regex_search(statement, data)) return Brace::Data;
  // Behind the last braced member of a constructor's list there is nothing left but the body.
  const bool nothing = statement.find_first_not_of(" \n\t") == std::string::npos;
  return nothing || statement.find('(') != std::string::npos ? Brace::Function : Brace::Data;
}

std::string name_in(std::string_view statement) {
  const std::size_t parenthesis = statement.find('(');
  std::string_view head = statement.substr(0, parenthesis);
  while (!head.empty() && (head.back() == ' ' || head.back() == '\n')) head.remove_suffix(1);
  const std::size_t space = head.find_last_of(" \n*&");
  const std::string name(space == std::string_view::npos ? head : head.substr(space + 1));
  if (!name.starts_with("TEST")) return name;
  const std::size_t close = statement.find(')');
  return std::string(statement.substr(parenthesis + 1, close - parenthesis - 1));
}

}  // namespace

std::vector<SourceFile> source_tree(const std::string& root) {
  std::vector<std::string> paths = git_paths(root);
  if (paths.empty()) paths = walked_paths(root);
  std::ranges::sort(paths);
  std::vector<SourceFile> files;
  for (const std::string& path : paths) {
    std::ifstream stream(root + "/" + path, std::ios::binary);
    std::stringstream text;
    text << stream.rdbuf();
    if (stream && !text.str().empty()) files.push_back({path, text.str()});
  }
  return files;
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.find_last_of('/') + 1);
}

std::string_view extension(std::string_view path) {
  const std::string_view name = base_name(path);
  const std::size_t dot = name.find_last_of('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot);
}

bool is_code(std::string_view path) {
  const std::string_view end = extension(path);
  return end == ".h" || end == ".cc" || end == ".c" || end == ".S";
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string bare_code(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const char c = text[at];
    if (rest.starts_with("//")) {
      at = blank_until(text, at, text.find('\n', at), out);
    } else if (rest.starts_with("/*")) {
      const std::size_t end = text.find("*/", at + 2);
      at = blank_until(text, at, end == std::string_view::npos ? text.size() : end + 2, out);
    } else if (c == '#' && line_start) {
      at = blank_until(text, at, directive_end(text, at), out);
    } else if (rest.starts_with("R\"") && (at == 0 || !is_word(text[at - 1]))) {
      at = blank_raw_literal(text, at, out);
    } else if (c == '"' || (c == '\'' && !separates_digits(text, at))) {
      at = blank_literal(text, at, out);
    } else {
      out += c;
      line_start = c == '\n' || (line_start && c == ' ');
      ++at;
      continue;
    }
    line_start = false;
  }
  return out;
}

std::vector<std::string> includes_of(std::string_view text) {
  static const std::regex form(R"(^\s*#\s*include\s*(<[^>]+>|"[^"]+"))");
  std::vector<std::string> names;
  for (const std::string& line : split_lines(text)) {
    std::smatch match;
    if (std::regex_search(line, match, form)) names.push_back(match[1]);
  }
  return names;
}

std::string header_essay(std::string_view text) {
  std::string essay;
  for (const std::string& line : split_lines(text)) {
    if (!line.starts_with("//")) break;
    essay += line.substr(2) + "\n";
  }
  return essay;
}

std::vector<FunctionSpan> functions_of(std::string_view text) {
  const std::string code = bare_code(text);
  std::vector<FunctionSpan> functions;
  std::vector<Brace> open;
  std::size_t statement = 0;  // where the text since the last ; { } of the outer level begins
  std::size_t inside = 0;     // how many of the open braces belong to a function or an initialiser
  int line = 1;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const char c = code[at];
    if (c == '\n') ++line;
    if (c == '{') {
      const std::string_view before = std::string_view(code).substr(statement, at - statement);
      const Brace kind = inside > 0 ? Brace::Data : kind_of(before);
      if (kind == Brace::Function) functions.push_back({name_in(before), line, 0});
      if (kind != Brace::Scope) ++inside;
      open.push_back(kind);
    } else if (c == '}' && !open.empty()) {
      if (open.back() != Brace::Scope) --inside;
      if (open.back() == Brace::Function) functions.back().lines = line - functions.back().line + 1;
      open.pop_back();
    }
    if (inside == 0 && (c == ';' || c == '{' || c == '}')) statement = at + 1;
  }
  return functions;
}

}  // namespace test
