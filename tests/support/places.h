// Where things are that tests run and read. Functions, so that no other file is compiled differently for the
// folder that the tree lies in: a compiler cache then serves every checkout.
#pragma once

#include <string>

namespace test {

/// The tree.
[[nodiscard]] std::string source_dir();
/// The build that the running program is part of: uvmm, uvmm-pin.
[[nodiscard]] std::string build_dir();
/// `build_dir()/uvmm`.
[[nodiscard]] std::string uvmm_path();
/// A file of the default guest, where `./dev assets` puts it.
[[nodiscard]] std::string asset(const std::string& name);
/// What the running program was compiled with.
[[nodiscard]] std::string compiler();

}  // namespace test
