// Does the steps of a sequence to machines that are processes and to models of them, and compares.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/model/process_memory.h"
#include "tests/support/model/process_step.h"
#include "tests/support/model/scribe_machine.h"
#include "uvm/base/error.h"

namespace test::model {

/// Its processes end with it.
class ProcessRunner {
 public:
  /// `program`: the path of uvmm; `folder`: for sockets, snapshots and logs.
  ProcessRunner(std::string program, std::string folder)
      : program_(std::move(program)), folder_(std::move(folder)) {}

  /// All steps, and at the end a look at everything. What differs first, with the step and what the machines
  /// said.
  [[nodiscard]] std::optional<std::string> run(const std::vector<ProcessStep>& steps);
  /// How many steps of a kind were done so far, as opposed to left out.
  [[nodiscard]] std::size_t done(Act act) const { return done_[static_cast<std::size_t>(act)]; }

 private:
  /// A machine and what it must be.
  struct Member {
    std::unique_ptr<ScribeMachine> process{};
    ProcessMemory memory{};
    bool is_large = false;     // more memory than others, which have another's for a base
    bool is_limited = false;   // then nobody else can pin it
    bool writes_disk = false;  // then it has copies of the moment only as forks
    bool is_paused = false;
    std::map<std::size_t, ProcessMemory> checkpoints{};
  };
  struct Snapshot {
    std::uint64_t identity = 0;  // 0: there is none
    std::uint64_t base = 0;      // the identity of the one that it builds on; 0: none
    std::size_t base_place = 0;
    bool is_large = false;
    ProcessMemory memory;
  };

  [[nodiscard]] uvm::Status step(const ProcessStep& step);
  [[nodiscard]] bool is_left_out(const ProcessStep& step) const;
  [[nodiscard]] bool can_build(const Member& member, const ProcessStep& step) const;
  [[nodiscard]] uvm::Status start(const ProcessStep& step);
  [[nodiscard]] uvm::Status restore(const ProcessStep& step);
  [[nodiscard]] uvm::Status fork(const ProcessStep& step);
  [[nodiscard]] uvm::Status end(const ProcessStep& step);
  [[nodiscard]] uvm::Status pause(const ProcessStep& step);
  [[nodiscard]] uvm::Status write(const ProcessStep& step);
  [[nodiscard]] uvm::Status poke(const ProcessStep& step);
  [[nodiscard]] uvm::Status pin(const ProcessStep& step);
  [[nodiscard]] uvm::Status dma(const ProcessStep& step);
  [[nodiscard]] uvm::Status checkpoint(const ProcessStep& step);
  [[nodiscard]] uvm::Status save(const ProcessStep& step);

  /// Does `work`, which copies the machine's memory, while a device writes all that it has pinned if there is
  /// a storm; what the copy holds then.
  [[nodiscard]] uvm::Result<ProcessMemory> copied(Member& member, Storm storm,
                                                  const std::function<uvm::Status()>& work);
  /// The options of a machine of that shape; its disk is made.
  [[nodiscard]] uvm::Result<std::vector<std::string>> options_of(Shape shape) const;
  [[nodiscard]] std::string place_of(std::size_t snapshot) const;
  /// Whether it and all it builds on are as they were.
  [[nodiscard]] bool is_whole(const Snapshot& snapshot) const;
  /// Whether it would be no more if that place held something else: it is there, or builds on what is.
  [[nodiscard]] bool rests_on(std::size_t snapshot, std::size_t place) const;

  enum class Extent { Some, All };
  /// Through every door that is there.
  [[nodiscard]] uvm::Status check(Member& member, Extent extent);
  [[nodiscard]] uvm::Status check_pages(Member& member, Extent extent);
  [[nodiscard]] uvm::Status check_sum(Member& member);
  [[nodiscard]] uvm::Status check_pins(Member& member, std::uint64_t done);
  [[nodiscard]] uvm::Status wait_for(const Member& member, std::uint64_t gpa, std::uint64_t value);
  [[nodiscard]] uvm::Status check_all();
  [[nodiscard]] std::string outputs() const;

  const std::string program_;
  const std::string folder_;
  std::array<std::optional<Member>, kMachines> members_;
  std::array<Snapshot, kSnapshots> snapshots_;
  std::uint64_t next_value_ = 1;
  std::uint64_t next_name_ = 0;
  std::uint64_t next_probe_ = 0;
  std::array<std::size_t, kActs> done_{};
};

}  // namespace test::model
