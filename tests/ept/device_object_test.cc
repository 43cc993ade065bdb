// A device's registers in a space: known, named, and no memory.
#include "ept/host/device_object.h"

#include <gtest/gtest.h>

#include "tests/ept/ept_support.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "uvm/space.h"

namespace ept {
namespace device_object_test {

using namespace test;
using uvm::AccessKind;
using uvm::ErrorKind;

class DeviceObject : public testing::Test {
 protected:
  void SetUp() override {
    pmap_ = make_pmap(pages(0, 16));
    // As in a machine: the device lies beyond what the window covers.
    space_ = *uvm::Space::create("guest", *pmap_, pages(0, 64));
    uvm::MapRequest ram;
    ram.range = pages(0, 16);
    ram.name = "ram";
    ASSERT_OK(space_->map(ram));
    uvm::MapRequest device;
    device.range = pages(32, 4);
    device.object = uvm::Object::create(std::make_shared<host::DeviceObject>("timer", 4 * kPage));
    device.sharing = uvm::Sharing::Shared;
    device.protection = device.max_protection = uvm::Protection::ReadWrite;
    device.name = "timer";
    ASSERT_OK(space_->map(device));
  }
  static void expect_refused(const uvm::Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::NoBacking) << error.text();
    EXPECT_NE(error.text().find("device timer"), std::string::npos) << error.text();
  }

  std::unique_ptr<Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
};

TEST_F(DeviceObject, IsListedWithoutMemory) {
  const auto entry = space_->entry_at(page(33));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->tenure, uvm::Tenure::None);
  EXPECT_EQ(entry->object, "device timer");
  EXPECT_EQ(space_->residency(entry->range).resident, 0U);
  EXPECT_EQ(space_->entry_at(page(3))->tenure, uvm::Tenure::Kept);
}

TEST_F(DeviceObject, RefusesEveryAccessByItsName) {
  for (const auto access : {AccessKind::Read, AccessKind::Write}) {
    for (const auto kind : {uvm::FaultKind::Plain, uvm::FaultKind::WireMax}) {
      const auto status = space_->fault(page(34), access, kind);
      ASSERT_FALSE(status);
      expect_refused(status.error());
      EXPECT_NE(status.error().text().find("registers at 0x2000"), std::string::npos)
          << status.error().text();
    }
  }
  const auto read = uvm::Access::read_value<std::uint32_t>(*space_, page(32));
  ASSERT_FALSE(read);
  expect_refused(read.error());
  const auto write = uvm::Access::write_value(*space_, page(35), 1U);
  ASSERT_FALSE(write);
  expect_refused(write.error());
}

TEST_F(DeviceObject, CannotBePinned) {
  const auto owner = uvm::PinOwner::create("disk");
  const auto pin = uvm::Pin::create(*space_, pages(32, 2), uvm::PinAccess::Read, owner);
  ASSERT_FALSE(pin);
  expect_refused(pin.error());
  EXPECT_TRUE(space_->pins().empty());
  EXPECT_EQ(owner->pinned(), 0U);
}

TEST_F(DeviceObject, IsTheChildsTooAfterAFork) {
  auto child_pmap = make_pmap(pages(0, 16));
  EXPECT_OK(space_->inherit(pages(32, 4), uvm::Inherit::Share));
  auto child = space_->fork("child", *child_pmap);
  ASSERT_OK(child);
  const auto status = (*child)->fault(page(32), AccessKind::Read);
  ASSERT_FALSE(status);
  expect_refused(status.error());
  space_->drop_translations();
  EXPECT_OK(space_->drop_lost());
  EXPECT_OK(space_->unmap(pages(32, 4)));
}

}  // namespace device_object_test
}  // namespace ept
