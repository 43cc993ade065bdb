#include "vmm/pins/session.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <utility>

#include "ept/pin_extents.h"

namespace vmm::pins {
namespace {

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("-_.:").find(c) != std::string_view::npos;
}

Message reply_to(const Header& header) {
  Message reply;
  reply.put(header);
  return reply;
}

/// The descriptors of one reply, each once.
class FdList {
 public:
  explicit FdList(uvm::PinAccess access) : access_(access) {}

  /// The number under which `fd`, or one for reading only of the same file, travels.
  uvm::Result<std::uint32_t> index_of(int fd) {
    const auto known = std::ranges::find(sources_, fd);
    if (known != sources_.end()) return static_cast<std::uint32_t>(known - sources_.begin());
    Fd own;
    if (access_ == uvm::PinAccess::Read) {
      UVMM_TRY(own, ept::host::reopen_for_reading(fd, "pinned memory"));
    } else {
      own = Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
      if (!own) return uvm::Error::from_errno(errno, "pinned memory: fcntl");
    }
    sources_.push_back(fd);
    fds.push_back(std::move(own));
    return static_cast<std::uint32_t>(fds.size() - 1);
  }

  std::vector<Fd> fds;

 private:
  const uvm::PinAccess access_;
  std::vector<int> sources_;
};

}  // namespace

uvm::Error Session::broken(const std::string& what) {
  broken_ = true;
  return {uvm::ErrorKind::Invalid, "pin socket: " + what,
          "speak version " + std::to_string(kVersion) + " of the protocol"};
}

std::string Session::name() const {
  const std::string process = "process " + std::to_string(peer_);
  return owner_ ? owner_->name() : process;
}

Session::Answer Session::answer(Message request) {
  Header header;
  const bool has_header = request.take(header);
  Reply reply = has_header ? dispatch(header, request) : broken("a message without a header");
  if (reply) return {std::move(*reply), false};
  header.outcome = broken_ ? Outcome::Broken : Outcome::Refused;
  Message refusal = reply_to(header);
  refusal.put_text(reply.error().text());
  return {std::move(refusal), broken_};
}

Session::Reply Session::dispatch(const Header& header, Message& request) {
  if (header.outcome != Outcome::Ok || header.reserved != 0) return broken("a header that is none");
  if (!request.fds.empty()) return broken("descriptors in a request");
  if (header.verb == Verb::Hello) return hello(header, request);
  if (!owner_) return broken("a request before Hello");
  switch (header.verb) {
    case Verb::Hello:
      break;
    case Verb::Pin:
      return pin(header, request);
    case Verb::Unpin:
      return unpin(header, request);
    case Verb::Bell:
      if (request.left() != 0) return broken("Bell with a body");
      return give_bell(header);
  }
  return broken("verb " + std::to_string(static_cast<std::uint32_t>(header.verb)));
}

Session::Reply Session::hello(const Header& header, Message& request) {
  HelloRequest hello;
  if (!request.take(hello) || request.left() != 0) return broken("Hello of another size");
  if (owner_) return broken("a second Hello");
  if (hello.version != kVersion) return broken("version " + std::to_string(hello.version));
  const auto end = std::ranges::find(hello.name, '\0');
  const std::string name(hello.name.begin(), end);
  if (name.empty() || end == hello.name.end() || !std::ranges::all_of(name, is_plain)) {
    return broken("a name that is not letters, digits and -_.:");
  }
  owner_ = uvm::PinOwner::create(name + " (process " + std::to_string(peer_) + ")", environment_.limit);
  Message reply = reply_to(header);
  reply.put(HelloReply{});
  return reply;
}

Session::Reply Session::pin(const Header& header, Message& request) {
  PinRequest wanted;
  if (!request.take(wanted) || wanted.ranges == 0 || wanted.ranges > kMostRanges ||
      request.left() != wanted.ranges * sizeof(Range) || wanted.access > 1 || wanted.policy > 2) {
    return broken("Pin that is none");
  }
  if (pins_.size() >= kMostPins) {
    return uvm::Error(uvm::ErrorKind::NoMemory, name() + " has " + std::to_string(kMostPins) + " pins",
                      "unpin some");
  }
  std::vector<uvm::GpaRange> ranges;
  for (std::uint32_t i = 0; i < wanted.ranges; ++i) {
    Range range;
    static_cast<void>(request.take(range));
    const auto made = uvm::GpaRange::from_size(uvm::Gpa(range.gpa), range.size);
    if (!made) {
      return uvm::Error(uvm::ErrorKind::Invalid, "pin " + uvm::hex(range.gpa) + "+" + uvm::hex(range.size) +
                                                     ": the range passes 2^64");
    }
    ranges.push_back(*made);
  }
  const auto access = wanted.access == 0 ? uvm::PinAccess::Read : uvm::PinAccess::Write;
  UVMM_TRY(auto pin, uvm::Pin::create(environment_.space, ranges,
                                      {owner_, access, static_cast<uvm::ForkPolicy>(wanted.policy),
                                       uvm::Placement::Shareable, uvm::Patience::Sleep}));
  FdList fds(access);
  std::vector<Extent> extents;
  UVMM_TRY(const auto places, ept::extents_of(pin));
  for (const ept::PinExtent& place : places) {
    UVMM_TRY(const std::uint32_t fd, fds.index_of(place.fd));
    extents.push_back({place.range.begin().value(), place.range.size(), place.offset, fd, 0});
  }
  if (extents.size() > kMostExtents || fds.fds.size() > kMostFds) {
    return uvm::Error(uvm::ErrorKind::NoMemory,
                      "the pages lie in " + std::to_string(extents.size()) +
                          " places, and a reply has room for " + std::to_string(kMostExtents),
                      "pin smaller ranges");
  }
  Message reply = reply_to(header);
  reply.put(PinReply{next_, static_cast<std::uint32_t>(extents.size()), 0});
  for (const Extent& extent : extents) reply.put(extent);
  reply.fds = std::move(fds.fds);
  pins_.emplace(next_++, std::move(pin));
  return reply;
}

Session::Reply Session::unpin(const Header& header, Message& request) {
  UnpinRequest wanted;
  if (!request.take(wanted) || request.left() != 0) return broken("Unpin of another size");
  if (pins_.erase(wanted.pin) == 0) {
    return uvm::Error(uvm::ErrorKind::NotFound, name() + " has no pin " + std::to_string(wanted.pin),
                      "unpin each once");
  }
  return reply_to(header);
}

Session::Reply Session::give_bell(const Header& header) {
  if (!environment_.ring) {
    return uvm::Error(uvm::ErrorKind::Unsupported, "the machine has no line for bells",
                      "run it with --pin-irq");
  }
  if (!bell_) bell_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  Fd theirs(bell_ ? ::fcntl(bell_.get(), F_DUPFD_CLOEXEC, 0) : -1);
  if (!theirs) return uvm::Error::from_errno(errno, "pin socket: eventfd");
  Message reply = reply_to(header);
  reply.fds.push_back(std::move(theirs));
  return reply;
}

}  // namespace vmm::pins
