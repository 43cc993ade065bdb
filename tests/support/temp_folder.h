// A folder of a test's own.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace test {

/// Made with the object, in the directory for temporary files, and gone with it. `what` says in its name what
/// it is for.
class TempFolder {
 public:
  explicit TempFolder(const std::string& what) : path_(testing::TempDir() + "uvmm-" + what + "-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) {
      ADD_FAILURE() << "no folder " << path_;
      path_.clear();
    }
  }
  ~TempFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  /// The path of `name` in it.
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Changes a bit of a file's byte `at`, and the second time back.
inline void flip(const std::string& path, std::uint64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const int was = file.get();
  file.seekp(static_cast<std::streamoff>(at));
  file.put(static_cast<char>(was ^ 0x10));
}

/// One in which machines put their sockets while it is there, so that those of one test only are listed.
class RunFolder : public TempFolder {
 public:
  explicit RunFolder(const std::string& what) : TempFolder(what) {
    EXPECT_EQ(::setenv("XDG_RUNTIME_DIR", path().c_str(), 1), 0);
  }
};

}  // namespace test
