// A file on a disk that a test may cut.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "tests/ept/ept_support.h"

namespace ept::test {

/// In the directory for temporary files; gone at the end.
class TempFile {
 public:
  explicit TempFile(const std::string& contents) {
    path_ = testing::TempDir() + "ept_file_XXXXXX";
    fd_ = ::mkstemp(path_.data());
    EXPECT_EQ(::write(fd_, contents.data(), contents.size()), static_cast<ssize_t>(contents.size()));
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() {
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  /// `pages` pages, every byte of page n is pattern_of(n).
  static std::string patterned(std::uint64_t pages) {
    std::string contents;
    for (std::uint64_t i = 0; i < pages; ++i) contents.append(kPage, static_cast<char>(pattern_of(i)));
    return contents;
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return fd_; }
  /// Cuts or lengthens it, as somebody else would.
  void resize(std::uint64_t bytes) const { EXPECT_EQ(::ftruncate(fd_, static_cast<off_t>(bytes)), 0); }
  /// Byte `offset` of the file as it is now.
  [[nodiscard]] char byte_at(std::uint64_t offset) const {
    char byte = 0;
    EXPECT_EQ(::pread(fd_, &byte, 1, static_cast<off_t>(offset)), 1);
    return byte;
  }

 private:
  std::string path_;
  int fd_ = -1;
};

}  // namespace ept::test
