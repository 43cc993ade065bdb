#include "tests/support/alloc_fault.h"

#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace test {

constinit thread_local AllocState alloc_state;

namespace {

bool fails_now() {
  AllocState& state = alloc_state;
  if (state.until_failure == 0 || state.paused != 0) return false;
  if (state.until_failure > 1) {
    --state.until_failure;
    return false;
  }
  state.has_failed = true;
  if (!state.stays_exhausted) state.until_failure = 0;
  return true;
}

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  if (fails_now()) return nullptr;
  if (bytes == 0) bytes = 1;
  void* at = alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
                 ? std::malloc(bytes)
                 : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (at == nullptr) return nullptr;
  ++alloc_state.live;
  alloc_state.live_bytes += static_cast<std::int64_t>(::malloc_usable_size(at));
  return at;
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  void* at = allocate(bytes, alignment);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

void free_one(void* at) noexcept {
  if (at == nullptr) return;
  --alloc_state.live;
  alloc_state.live_bytes -= static_cast<std::int64_t>(::malloc_usable_size(at));
  std::free(at);
}

constexpr std::size_t kDefault = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace
}  // namespace test

// clang-format off
void* operator new(std::size_t n) { return test::allocate_or_throw(n, test::kDefault); }
void* operator new[](std::size_t n) { return test::allocate_or_throw(n, test::kDefault); }
void* operator new(std::size_t n, std::align_val_t a) { return test::allocate_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return test::allocate_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return test::allocate(n, test::kDefault); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return test::allocate(n, test::kDefault); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return test::allocate(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return test::allocate(n, static_cast<std::size_t>(a)); }
void operator delete(void* at) noexcept { test::free_one(at); }
void operator delete[](void* at) noexcept { test::free_one(at); }
void operator delete(void* at, std::size_t) noexcept { test::free_one(at); }
void operator delete[](void* at, std::size_t) noexcept { test::free_one(at); }
void operator delete(void* at, std::align_val_t) noexcept { test::free_one(at); }
void operator delete[](void* at, std::align_val_t) noexcept { test::free_one(at); }
void operator delete(void* at, std::size_t, std::align_val_t) noexcept { test::free_one(at); }
void operator delete[](void* at, std::size_t, std::align_val_t) noexcept { test::free_one(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { test::free_one(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { test::free_one(at); }
// clang-format on
