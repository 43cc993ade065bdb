// What a user says about a machine's control socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace vmm::control {

class Family;
class Starter;

inline constexpr std::uint32_t kMostChildren = 65536;
inline constexpr std::uint32_t kMostReadyCopies = 64;

enum class AtStart : std::uint8_t { Run, Paused };

struct Options {
  std::string socket;               // path; empty: none
  std::uint32_t parent = 0;         // process of the machine that this one was forked from; 0: of none
  std::uint32_t max_children = 64;  // forks, and forks of theirs, that run at once; of a machine's own family
  std::uint32_t ready_copies = 0;   // that this machine keeps ready for debuggers and the API
  std::shared_ptr<const Family> family;    // that a fork belongs to; null: of its own
  AtStart at_start = AtStart::Run;         // Paused: until somebody says resume at the socket
  std::shared_ptr<const Starter> starter;  // of `uvmm fork`; null: this machine starts no copies itself
};

}  // namespace vmm::control
