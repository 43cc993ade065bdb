// The project's own files, for tests that hold the tree to its rules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace test {

struct SourceFile {
  std::string path;  // from the top of the project, "uvm/map.h"
  std::string text;
};

/// Every file git tracks or would track, in the folder `root`, text and binary; where git isn't, every file
/// below it but those of build/. Empty files are left out.
[[nodiscard]] std::vector<SourceFile> source_tree(const std::string& root);

/// "uvm/map.h" → ".h"; empty without a dot in the name.
[[nodiscard]] std::string_view extension(std::string_view path);
/// "uvm/map.h" → "map.h".
[[nodiscard]] std::string_view base_name(std::string_view path);
/// .h, .cc, .c or .S.
[[nodiscard]] bool is_code(std::string_view path);
[[nodiscard]] std::vector<std::string> split_lines(std::string_view text);

/// C++ without its comments, its preprocessor lines and what its literals hold: all of that is spaces then,
/// so that lines and columns stay. Include lines go too.
[[nodiscard]] std::string bare_code(std::string_view text);

/// The names of the quoted and angled includes, as written: "\"uvm/map.h\"" and "<vector>".
[[nodiscard]] std::vector<std::string> includes_of(std::string_view text);

/// The comment at the top of a file, without its slashes; empty when it begins with none.
[[nodiscard]] std::string header_essay(std::string_view text);

/// One function of a file.
struct FunctionSpan {
  std::string name;  // the text before its first parenthesis, as near as it can be told
  int line;          // of its opening brace, from 1
  int lines;         // from the opening to the closing brace, both counted
};

/// By counting braces: what opens a brace outside of every function and is no namespace, type or initialiser.
[[nodiscard]] std::vector<FunctionSpan> functions_of(std::string_view text);

}  // namespace test
