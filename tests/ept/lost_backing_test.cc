// Every operation on a space whose file was cut, or whose descriptor was closed, under it: an error of a kind
// and with a name, and nothing half done; when the backing is there again, the operation succeeds.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <functional>

#include "ept/host/file_object.h"
#include "tests/ept/temp_file.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "uvm/space.h"

namespace ept {
namespace lost_backing_test {

using namespace test;
using uvm::Access;
using uvm::AccessKind;
using uvm::ErrorKind;
using uvm::FaultKind;

constexpr std::uint64_t kPages = 16;
constexpr std::uint64_t kLast = kPages - 1;  // the page that every operation wants

struct Guest {
  std::unique_ptr<Pmap> pmap;
  std::unique_ptr<uvm::Space> space;
  std::shared_ptr<uvm::PinOwner> owner = uvm::PinOwner::create("device");
};

struct Operation {
  const char* name;
  std::function<uvm::Status(Guest&)> run;
};

uvm::Status as_status(uvm::Result<uvm::Pin> pin) {
  if (!pin) return pin.error();
  return uvm::ok();
}

const Operation kOperations[] = {
    {"ReadFault", [](Guest& guest) { return guest.space->fault(page(kLast), AccessKind::Read); }},
    {"WriteFault", [](Guest& guest) { return guest.space->fault(page(kLast), AccessKind::Write); }},
    {"Wire",
     [](Guest& guest) { return guest.space->fault(page(kLast), AccessKind::Read, FaultKind::WireMax); }},
    {"Read",
     [](Guest& guest) {
       std::byte byte{};
       return Access::read(*guest.space, page(kLast), {&byte, 1});
     }},
    {"Write", [](Guest& guest) { return Access::write_value(*guest.space, page(kLast), pattern_of(kLast)); }},
    {"Fill",
     [](Guest& guest) {
       return Access::fill(*guest.space, *uvm::GpaRange::from_size(page(kLast), 8), pattern_of(kLast));
     }},
    {"Pin",
     [](Guest& guest) {
       return as_status(uvm::Pin::create(*guest.space, pages(0, kPages), uvm::PinAccess::Write, guest.owner));
     }},
};

enum class Loss { Cut, Closed };

class LostBacking : public testing::TestWithParam<std::tuple<std::size_t, Loss>> {
 protected:
  void SetUp() override {
    // Nobody may get a descriptor under the number that is free for a while: who keeps one has it by now.
    ASSERT_OK(host::Arena::of_process());
    std::shared_ptr<host::FileObject> file = *host::FileObject::open(file_.path());
    fd_ = file->fd();
    guest_.pmap = make_pmap(pages(0, 2 * kPages));
    guest_.space = *uvm::Space::create("guest", *guest_.pmap, pages(0, 2 * kPages));
    uvm::MapRequest request;
    request.range = pages(0, kPages);
    request.object = uvm::Object::create(file);
    request.name = "file";
    ASSERT_OK(guest_.space->map(request));
    ASSERT_OK(Access::write_value(*guest_.space, page(1), std::byte{0xa1}));
    guest_.pmap->remove(pages(0, kPages));
  }
  void lose() {
    if (std::get<1>(GetParam()) == Loss::Cut) {
      file_.resize(kPage * 4);
    } else {
      saved_ = host::UniqueFd(::fcntl(fd_, F_DUPFD_CLOEXEC, 100));
      ASSERT_EQ(::close(fd_), 0);
    }
  }
  void find_again() {
    if (std::get<1>(GetParam()) == Loss::Cut) {
      const std::string contents = TempFile::patterned(kPages);
      ASSERT_EQ(::pwrite(file_.fd(), contents.data(), contents.size(), 0),
                static_cast<ssize_t>(contents.size()));
    } else {
      ASSERT_EQ(::fcntl(fd_, F_GETFD), -1) << "somebody else has the number now";
      ASSERT_EQ(::dup3(saved_.get(), fd_, O_CLOEXEC), fd_);
    }
  }

  const TempFile file_{TempFile::patterned(kPages)};
  int fd_ = -1;  // the object's
  host::UniqueFd saved_;
  Guest guest_;
};

TEST_P(LostBacking, IsAnErrorThatLeavesEverythingAsItWas) {
  const Operation& operation = kOperations[std::get<0>(GetParam())];
  lose();
  const auto refused = operation.run(guest_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::PagerIo) << refused.error().text();
  EXPECT_NE(refused.error().text().find("file " + file_.path() + ": offset 0x"), std::string::npos)
      << refused.error().text();
  EXPECT_NE(refused.error().text().find("space guest: "), std::string::npos) << refused.error().text();

  const auto entries = guest_.space->entries();
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries.front().range, pages(0, kPages));
  EXPECT_EQ(entries.front().wired, 0U);
  EXPECT_TRUE(guest_.space->pins().empty());
  EXPECT_EQ(guest_.owner->pinned(), 0U);
  // Nobody has the space marked as being accessed.
  EXPECT_OK(guest_.space->protect(pages(0, kPages), uvm::Protection::Read));
  EXPECT_OK(guest_.space->protect(pages(0, kPages), uvm::Protection::All));

  find_again();
  EXPECT_OK(operation.run(guest_));
  EXPECT_EQ(*Access::read_value<std::byte>(*guest_.space, page(kLast)), pattern_of(kLast));
  EXPECT_EQ(*Access::read_value<std::byte>(*guest_.space, page(1)), std::byte{0xa1});
  EXPECT_OK(guest_.space->unmap(pages(0, kPages)));
}

TEST_P(LostBacking, DoesNotKeepASpaceFromForkingOrEnding) {
  auto child_pmap = make_pmap(pages(0, 2 * kPages));
  lose();
  auto child = guest_.space->fork("child", *child_pmap);
  ASSERT_OK(child);
  EXPECT_EQ(*Access::read_value<std::byte>(**child, page(1)), std::byte{0xa1});
  const auto lost = Access::read_value<std::byte>(**child, page(kLast));
  EXPECT_EQ(kind_of(lost), ErrorKind::PagerIo);
  guest_.space->drop_translations();
  EXPECT_OK(guest_.space->unmap(pages(0, kPages)));
  find_again();
}

std::string name_of(const testing::TestParamInfo<LostBacking::ParamType>& info) {
  return std::string(kOperations[std::get<0>(info.param)].name) +
         (std::get<1>(info.param) == Loss::Cut ? "Cut" : "Closed");
}

INSTANTIATE_TEST_SUITE_P(Operations, LostBacking,
                         testing::Combine(testing::Range<std::size_t>(0, std::size(kOperations)),
                                          testing::Values(Loss::Cut, Loss::Closed)),
                         name_of);

}  // namespace lost_backing_test
}  // namespace ept
