// Typed errors: what went wrong, where, and the way out, in one line a person can act on.
//
// A Result is a value or an Error, never both. Absence is not an error: look-ups return std::optional. No
// exception leaves a subsystem; Result::value() on an error is a bug in the caller and terminates the
// program.
#pragma once

#include <boost/system/result.hpp>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace uvm {

/// The closed list a caller may switch over. The first nine are the VM system's own (rule D9: one cause, one
/// kind; an errno or a signal number is chosen at the outer edge, not here).
enum class ErrorKind {
  NoMapping,    // no entry at that address
  Protection,   // the entry forbids the access
  NoBacking,    // an entry without object and without amap (a reserved hole)
  EndOfObject,  // past the last byte of the object
  PagerIo,      // the pager could not bring the page
  NoMemory,     // host memory, address space or a limit is exhausted
  Pinned,       // a pin forbids it; the message names range and owner
  Busy,         // somebody else is using it now; trying again can help
  Invalid,      // the request itself makes no sense; trying again cannot help
  Unsupported,  // this host, kernel or build cannot do it
  NotFound,     // a file, device or name that had to exist does not
  Permission,   // the operating system said no
  System,       // any other failed system call
  Guest,        // the guest did something that ends it (triple fault, bad instruction)
};

[[nodiscard]] std::string_view to_string(ErrorKind kind);

/// `what` names object, operation and exact place ("kernel /boot/x: setup header ends at 0x1f0, past the
/// file's 300 bytes"); `way_out` says what to do about it, and may be empty.
class [[nodiscard]] Error {
 public:
  /// What result<T>::error() hands back for a value; nobody should ask.
  Error() : Error(ErrorKind::Invalid, "no error") {}
  Error(ErrorKind kind, std::string what, std::string way_out = {})
      : kind_(kind), what_(std::move(what)), way_out_(std::move(way_out)) {}

  /// From a failed system call: `what` + the text of `error_number`; the kind follows from the number
  /// (ENOENT -> NotFound, EACCES/EPERM -> Permission, ENOMEM -> NoMemory, EBUSY -> Busy, ENOSYS ->
  /// Unsupported).
  static Error from_errno(int error_number, std::string what, std::string way_out = {});

  [[nodiscard]] ErrorKind kind() const { return kind_; }
  [[nodiscard]] const std::string& what() const { return what_; }
  [[nodiscard]] const std::string& way_out() const { return way_out_; }
  /// One line: "what; way out".
  [[nodiscard]] std::string text() const;
  /// The same error, told from further out: "context: what".
  [[nodiscard]] Error with_context(std::string_view context) &&;

 private:
  ErrorKind kind_;
  std::string what_;
  std::string way_out_;
};

/// Called by Result::value() on an error (boost::system's hook): prints the error and aborts.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location& where);

template <class T>
using Result = boost::system::result<T, Error>;
using Status = Result<void>;

/// The good Status, spelled so that a return statement reads well.
inline Status ok() {
  return {};
}

/// For the edge of a subsystem, where std::bad_alloc ends and an error begins: what `describe()` makes, or,
/// when there is no memory for its text either, a NoMemory that says only that.
template <class F>
[[nodiscard]] Error out_of_memory(F&& describe) noexcept {
  try {
    return describe();
  } catch (const std::bad_alloc&) {
    return {ErrorKind::NoMemory, "out of memory"};  // short enough to need none
  }
}

}  // namespace uvm

#define UVMM_CONCAT_INNER(a, b) a##b
#define UVMM_CONCAT(a, b) UVMM_CONCAT_INNER(a, b)

/// `UVMM_TRY(auto x, f());` binds the value, or returns the error from the enclosing function.
#define UVMM_TRY(declaration, expression) \
  UVMM_TRY_NAMED(UVMM_CONCAT(try_result_, __LINE__), declaration, expression)
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration and the name it declares cannot stand in parentheses
#define UVMM_TRY_NAMED(name, declaration, expression) \
  auto name = (expression);                           \
  if (!name) return std::move(name).error();          \
  declaration = std::move(name).value()
// NOLINTEND(bugprone-macro-parentheses)

/// `UVMM_CHECK(f());` returns the error of a Status from the enclosing function.
#define UVMM_CHECK(expression)                             \
  do {                                                     \
    if (auto check_status = (expression); !check_status) { \
      return std::move(check_status).error();              \
    }                                                      \
  } while (false)
