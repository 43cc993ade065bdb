#include "uvm/base/error.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace uvm {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::NoMapping:
      return "no mapping";
    case ErrorKind::Protection:
      return "protection";
    case ErrorKind::NoBacking:
      return "no backing";
    case ErrorKind::EndOfObject:
      return "end of object";
    case ErrorKind::PagerIo:
      return "pager I/O";
    case ErrorKind::NoMemory:
      return "no memory";
    case ErrorKind::Pinned:
      return "pinned";
    case ErrorKind::Busy:
      return "busy";
    case ErrorKind::Invalid:
      return "invalid";
    case ErrorKind::Unsupported:
      return "unsupported";
    case ErrorKind::NotFound:
      return "not found";
    case ErrorKind::Permission:
      return "permission";
    case ErrorKind::System:
      return "system";
    case ErrorKind::Guest:
      return "guest";
  }
  return "unknown";
}

Error Error::from_errno(int error_number, std::string what, std::string way_out) {
  auto kind = ErrorKind::System;
  switch (error_number) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      kind = ErrorKind::NotFound;
      break;
    case EACCES:
    case EPERM:
      kind = ErrorKind::Permission;
      break;
    case ENOMEM:
      kind = ErrorKind::NoMemory;
      break;
    case EBUSY:
    case EAGAIN:
      kind = ErrorKind::Busy;
      break;
    case ENOSYS:
    case EOPNOTSUPP:
      kind = ErrorKind::Unsupported;
      break;
    case EINVAL:
      kind = ErrorKind::Invalid;
      break;
    case EIO:
      kind = ErrorKind::PagerIo;
      break;
    default:
      break;
  }
  what += ": " + std::generic_category().message(error_number);
  return {kind, std::move(what), std::move(way_out)};
}

std::string Error::text() const {
  return way_out_.empty() ? what_ : what_ + "; " + way_out_;
}

Error Error::with_context(std::string_view context) && {
  what_ = std::string(context) + ": " + what_;
  return std::move(*this);
}

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
  std::fprintf(stderr, "uvmm: internal error: unchecked result at %s:%u: %s\n", where.file_name(),
               static_cast<unsigned>(where.line()), error.text().c_str());
  std::abort();
}

}  // namespace uvm
