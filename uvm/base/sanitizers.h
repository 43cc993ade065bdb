// Whether this build carries a sanitizer, whose own calls, memory and address space some things cannot do
// with.
#pragma once

namespace uvm {

// GCC has macros for these, Clang 14 has features.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitized = true;
inline constexpr bool kSanitized = true;
#elif defined(__SANITIZE_ADDRESS__)
inline constexpr bool kThreadSanitized = false;
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kThreadSanitized = __has_feature(thread_sanitizer);
inline constexpr bool kSanitized = kThreadSanitized || __has_feature(address_sanitizer);
#else
inline constexpr bool kThreadSanitized = false;
inline constexpr bool kSanitized = false;
#endif

}  // namespace uvm
