// What most tests of the VM system start from: a space over a simulated MMU, with a vCPU.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/fake_pager.h"
#include "tests/support/patterns.h"
#include "tests/support/sim_mmu.h"
#include "uvm/access.h"
#include "uvm/space.h"

namespace test {

inline constexpr std::uint64_t kPage = uvm::kPageSize;

/// Pages [first, first + count).
inline uvm::GpaRange pages(std::uint64_t first, std::uint64_t count) {
  return *uvm::GpaRange::from_size(uvm::Gpa(first * kPage), count * kPage);
}
inline uvm::Gpa page(std::uint64_t number) {
  return uvm::Gpa(number * kPage);
}

inline uvm::MapRequest ram(uvm::GpaRange range, std::string name = "ram") {
  uvm::MapRequest request;
  request.range = range;
  request.name = std::move(name);
  return request;
}

inline uvm::MapRequest over(uvm::GpaRange range, std::shared_ptr<uvm::Object> object,
                            uvm::Sharing sharing = uvm::Sharing::Private, std::uint64_t first_page = 0) {
  uvm::MapRequest request = ram(range, "object");
  request.object = std::move(object);
  request.offset = uvm::ObjectOffset(first_page * kPage);
  request.sharing = sharing;
  return request;
}

/// A space, its MMU and one vCPU.
struct Guest {
  static constexpr std::uint64_t kBytes = std::uint64_t{1} << 30;

  explicit Guest(SimArena& arena, std::string name = "guest")
      : mmu(kBytes, &arena),
        space(
            uvm::Space::create(std::move(name), mmu, *uvm::GpaRange::from_size(uvm::Gpa(0), kBytes)).value()),
        cpu(*space, mmu) {}

  /// A fork of `parent`.
  Guest(SimArena& arena, std::string name, Guest& parent)
      : mmu(kBytes, &arena), space(parent.space->fork(std::move(name), mmu).value()), cpu(*space, mmu) {}

  std::byte byte_at(uvm::Gpa address) {
    std::byte value{};
    const auto status = cpu.read(address, std::span(&value, 1));
    EXPECT_TRUE(status) << status.error().text();
    return value;
  }
  std::vector<std::byte> page_at(std::uint64_t number) {
    std::vector<std::byte> bytes(kPage);
    const auto status = cpu.read(page(number), bytes);
    EXPECT_TRUE(status) << status.error().text();
    return bytes;
  }
  void write_pattern(std::uint64_t number, std::uint64_t seed) {
    const auto status = cpu.write(page(number), pattern(kPage, seed));
    EXPECT_TRUE(status) << status.error().text();
  }

  SimMmu mmu;
  std::unique_ptr<uvm::Space> space;
  SimCpu cpu;
};

class SpaceFixture : public ::testing::Test {
 protected:
  /// An object of `count` pages; page n holds pattern seed + n.
  std::shared_ptr<uvm::Object> object(std::uint64_t count, std::uint64_t seed = 100) {
    pager = std::make_shared<FakePager>("file", count * kPage, seed);
    return uvm::Object::create(pager);
  }

  SimArena arena;
  std::shared_ptr<FakePager> pager;
  Guest guest{arena};
  uvm::Space& space = *guest.space;
};

template <class R>
::testing::AssertionResult is_ok(const R& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().text();
}
template <class R>
::testing::AssertionResult fails_with(const R& result, uvm::ErrorKind kind) {
  if (result) return ::testing::AssertionFailure() << "succeeded";
  if (result.error().kind() == kind) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << to_string(result.error().kind()) << ": " << result.error().text();
}

#define EXPECT_OK(expression) EXPECT_TRUE(::test::is_ok(expression))
#define EXPECT_ERROR(expression, kind) EXPECT_TRUE(::test::fails_with(expression, kind))

}  // namespace test
