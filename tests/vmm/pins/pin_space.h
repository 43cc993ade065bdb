// Guest memory for device processes to pin: RAM that is an object, and a private mapping above it.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "ept/host/ram_object.h"
#include "ept/pmap.h"
#include "uvm/access.h"
#include "uvm/pin.h"
#include "uvm/space.h"

namespace test {

class PinSpace : public testing::Test {
 protected:
  static constexpr std::uint64_t kPage = uvm::kPageSize;
  static constexpr std::uint64_t kRamPages = 16;  // then as many that are private

  static uvm::GpaRange pages(std::uint64_t first, std::uint64_t count) {
    return *uvm::GpaRange::from_size(uvm::Gpa(first * kPage), count * kPage);
  }

  PinSpace() {
    ept::PmapConfig config;
    config.covered = pages(0, 4 * kRamPages);
    pmap_ = *ept::Pmap::create(config);
    space_ = *uvm::Space::create("guest", *pmap_, config.covered);
    uvm::MapRequest ram;
    ram.range = pages(0, kRamPages);
    ram.name = "ram";
    ram.sharing = uvm::Sharing::Shared;
    ram.object = uvm::Object::create(std::shared_ptr<uvm::Pager>(
        *ept::host::RamObject::create("ram", kRamPages * kPage, ept::host::HugePages::Never)));
    EXPECT_TRUE(space_->map(ram));
    uvm::MapRequest own;
    own.range = pages(kRamPages, kRamPages);
    own.name = "own";
    EXPECT_TRUE(space_->map(own));
  }

  std::uint64_t word(std::uint64_t page) {
    return uvm::Access::read_value<std::uint64_t>(*space_, uvm::Gpa(page * kPage)).value();
  }
  void set_word(std::uint64_t page, std::uint64_t value) {
    EXPECT_TRUE(uvm::Access::write_value(*space_, uvm::Gpa(page * kPage), value));
  }
  std::uint64_t pinned() { return space_->pin_statistics().bytes; }

  std::unique_ptr<ept::Pmap> pmap_;
  std::unique_ptr<uvm::Space> space_;
};

}  // namespace test
