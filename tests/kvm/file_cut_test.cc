// A file that a running guest's memory maps is cut: the guest ends with one line that says so, and nothing
// else happens to the process that runs it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "ept/host/file_object.h"
#include "tests/support/kvm_machine.h"
#include "uvm/access.h"
#include "vmm/machine/machine.h"

namespace vmm {
namespace file_cut_test {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

/// A machine whose RAM from 32 MiB on is a private mapping of a file of 8 MiB.
class FileCut : public testing::TestWithParam<MemoryBacking> {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    path_ = testing::TempDir() + "uvmm_cut_XXXXXX";
    fd_ = ::mkstemp(path_.data());
    const std::vector<char> bytes(range_.size(), 'f');
    ASSERT_EQ(::write(fd_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    auto config = test::builtin_config("memwalk", "passes=1000000 mode=verify page=4k");
    config.backing = GetParam();
    auto machine = Machine::create(config);
    ASSERT_TRUE(machine) << machine.error().text();
    machine_ = std::move(*machine);
    uvm::MapRequest request;
    request.range = range_;
    request.object = uvm::Object::create(std::shared_ptr<uvm::Pager>(*ept::host::FileObject::open(path_)));
    request.overlap = uvm::Overlap::Replace;
    request.name = "image";
    const auto mapped = machine_->space().map(request);
    ASSERT_TRUE(mapped) << mapped.error().text();
  }
  void TearDown() override {
    machine_.reset();
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  void cut() const { ASSERT_EQ(::ftruncate(fd_, kMiB), 0); }

  const uvm::GpaRange range_ = *uvm::GpaRange::from_size(uvm::Gpa(32 * kMiB), 8 * kMiB);
  std::string path_;
  int fd_ = -1;
  std::unique_ptr<Machine> machine_;
};

TEST_P(FileCut, EndsTheGuestWithOneLineThatNamesFileAndOffset) {
  std::thread cutter([this] {
    // The guest has been everywhere: its pages are private, and go all the same.
    while (machine_->space().residency(range_).priv < range_.size()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    cut();
  });
  const auto report = machine_->run();
  cutter.join();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->status, static_cast<int>(ExitStatus::Internal));
  EXPECT_NE(report->summary.find("file " + path_ + ": offset 0x"), std::string::npos) << report->summary;
  EXPECT_NE(report->summary.find("was cut from 8388608 to 1048576 bytes"), std::string::npos)
      << report->summary;
  EXPECT_EQ(report->summary.find('\n'), std::string::npos) << report->summary;
}

TEST_P(FileCut, BeforeTheGuestRunsIsAnErrorForItsFirstTouch) {
  cut();
  const auto lost = uvm::Access::read_value<char>(machine_->space(), range_.end() - 1);
  ASSERT_FALSE(lost);
  EXPECT_NE(lost.error().text().find("offset 0x7ff000"), std::string::npos) << lost.error().text();
  EXPECT_EQ(*uvm::Access::read_value<char>(machine_->space(), range_.begin()), 'f');
  const auto report = machine_->run();
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->status, static_cast<int>(ExitStatus::Internal));
  EXPECT_NE(report->summary.find("file " + path_ + ": offset 0x100000 is gone"), std::string::npos)
      << report->summary;
}

INSTANTIATE_TEST_SUITE_P(Backings, FileCut, testing::Values(MemoryBacking::Anonymous, MemoryBacking::Shared),
                         [](const auto& backing) {
                           return backing.param == MemoryBacking::Anonymous ? "Anonymous" : "Shared";
                         });

}  // namespace file_cut_test
}  // namespace vmm
