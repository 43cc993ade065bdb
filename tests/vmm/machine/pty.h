// A pseudo-terminal whose slave side is the "stdin" of a console under test.
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <cstring>
#include <string_view>

namespace vmm::test {

class Pty {
 public:
  Pty() {
    master_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master_ < 0 || grantpt(master_) != 0 || unlockpt(master_) != 0) return;
    char name[64] = {};
    if (ptsname_r(master_, name, sizeof name) == 0) slave_ = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
  }
  ~Pty() {
    if (slave_ >= 0) close(slave_);
    if (master_ >= 0) close(master_);
  }
  Pty(const Pty&) = delete;
  Pty& operator=(const Pty&) = delete;

  [[nodiscard]] int master() const { return master_; }
  [[nodiscard]] int slave() const { return slave_; }
  [[nodiscard]] termios modes() const {
    termios modes{};
    tcgetattr(slave_, &modes);
    return modes;
  }
  /// Whether keys arrive as they are typed.
  [[nodiscard]] bool is_raw() const { return (modes().c_lflag & (ICANON | ECHO | ISIG)) == 0; }
  bool type(std::string_view keys) const {
    return write(master_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size());
  }

 private:
  int master_ = -1;
  int slave_ = -1;
};

inline bool same_modes(const termios& a, const termios& b) {
  return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag && a.c_cflag == b.c_cflag &&
         a.c_lflag == b.c_lflag && std::memcmp(a.c_cc, b.c_cc, sizeof a.c_cc) == 0;
}

}  // namespace vmm::test
