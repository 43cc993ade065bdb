// A device has the physical addresses of what is pinned. The kernel's io_uring is one that is everywhere: it
// takes a reference to the pages of a registered buffer and writes to them past all translations.
#include <gtest/gtest.h>
#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "ept/host/fd.h"
#include "ept/host/file_object.h"
#include "tests/ept/ept_support.h"
#include "tests/ept/temp_file.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "uvm/space.h"

namespace ept {
namespace steady_pages_test {

using namespace test;
using uvm::Access;
using uvm::Protection;

/// Writes a byte all over memory that was registered once.
class Writer {
 public:
  explicit Writer(std::span<std::byte> memory) : memory_(memory) {
    has_ring_ = ::io_uring_queue_init(4, &ring_, 0) == 0;
    const iovec vector{memory.data(), memory.size()};
    usable_ = has_ring_ && ::io_uring_register_buffers(&ring_, &vector, 1) == 0;
  }
  ~Writer() {
    if (has_ring_) ::io_uring_queue_exit(&ring_);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  [[nodiscard]] bool usable() const { return usable_; }

  void write(std::byte value) {
    const host::UniqueFd file(::memfd_create("uvmm-test", MFD_CLOEXEC));
    const std::vector<std::byte> bytes(memory_.size(), value);
    ASSERT_EQ(::write(file.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    io_uring_sqe* request = ::io_uring_get_sqe(&ring_);
    ::io_uring_prep_read_fixed(request, file.get(), memory_.data(), static_cast<unsigned>(memory_.size()), 0,
                               0);
    ASSERT_EQ(::io_uring_submit(&ring_), 1);
    io_uring_cqe* done = nullptr;
    ASSERT_EQ(::io_uring_wait_cqe(&ring_, &done), 0);
    EXPECT_EQ(done->res, static_cast<int>(memory_.size()));
    ::io_uring_cqe_seen(&ring_, done);
  }

 private:
  std::span<std::byte> memory_;
  io_uring ring_{};
  bool has_ring_ = false;
  bool usable_ = false;
};

class SteadyPages : public testing::Test {
 protected:
  void SetUp() override {
    space_ = *uvm::Space::create("guest", *pmap_, pages(0, 64));
    uvm::MapRequest zeros;
    zeros.range = pages(0, 8);
    zeros.name = "zeros";
    ASSERT_OK(space_->map(zeros));
    uvm::MapRequest kernel;
    kernel.range = pages(8, 8);
    kernel.name = "kernel";
    kernel.object = uvm::Object::create(std::shared_ptr<uvm::Pager>(*host::FileObject::open(file_.path())));
    ASSERT_OK(space_->map(kernel));
  }
  [[nodiscard]] std::byte read(std::uint64_t number) {
    return *Access::read_value<std::byte>(*space_, page(number));
  }

  const TempFile file_{TempFile::patterned(8)};
  const std::shared_ptr<uvm::PinOwner> owner_ = uvm::PinOwner::create("device");
  const std::unique_ptr<Pmap> pmap_ = make_pmap(pages(0, 64));
  std::unique_ptr<uvm::Space> space_;
};

TEST_F(SteadyPages, StayTheSameWhileRightsGoAndComeBack) {
  for (const uvm::GpaRange range : {pages(2, 3), pages(10, 3)}) {
    SCOPED_TRACE(uvm::to_string(range));
    const auto pin = uvm::Pin::create(*space_, range, uvm::PinAccess::Write, owner_);
    ASSERT_TRUE(pin) << pin.error().text();
    Writer device(pin->bytes());
    if (!device.usable()) GTEST_SKIP() << "this host has no io_uring to stand for a device";
    const std::uint64_t middle = (range.begin().value() >> uvm::kPageShift) + 1;
    unsigned value = 1;
    for (const Protection rights : {Protection::None, Protection::Read}) {
      ASSERT_OK(space_->protect(pages(middle, 1), rights));
      ASSERT_OK(space_->protect(pages(middle, 1), Protection::ReadWrite));
      EXPECT_TRUE(Access::write_value(*space_, page(middle) + 8, value));
      device.write(std::byte(++value));
      EXPECT_EQ(read(middle), std::byte(value)) << uvm::to_string(rights);
      EXPECT_EQ(read(middle - 1), std::byte(value));
      EXPECT_EQ(read(middle + 1), std::byte(value));
    }
    space_->drop_translations();
    device.write(std::byte(++value));
    EXPECT_EQ(read(middle), std::byte(value));
  }
}

}  // namespace steady_pages_test
}  // namespace ept
