#include <fcntl.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/random_access_file.hpp>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "uvm/base/lock.h"
#include "vmm/swap/file_io.h"

namespace vmm {
namespace {

namespace asio = boost::asio;
using Code = boost::system::error_code;

/// Bytes of one request: a cluster of uvm's is one. Pieces of it that are under way together gain less than
/// they cost, since a file that grows is written by one at a time.
constexpr std::size_t kPiece = std::size_t{1} << 20;
/// Asio sends the requests of one file object one after the other; so many objects, so many requests at once.
constexpr std::size_t kTracks = 4;

/// A ring, and the file on it. Used by one thread at a time, which runs the requests it makes itself: nobody
/// has to be woken, neither for a request nor for its end.
class Lane {
 public:
  /// Throws boost::system::system_error: no ring, or no descriptor left.
  explicit Lane(int fd) {
    tracks_.reserve(kTracks);
    for (std::size_t i = 0; i < kTracks; ++i) {
      const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
      if (copy < 0) throw boost::system::system_error(Code(errno, boost::system::system_category()));
      tracks_.emplace_back(context_, copy);
    }
  }

  template <class Byte>
  IoOutcome transfer(std::uint64_t offset, std::span<Byte> bytes) {
    IoOutcome outcome;
    while (outcome.done < bytes.size() && outcome.error == 0) {
      const auto rest = bytes.subspan(outcome.done);
      const IoOutcome round = one_round(offset + outcome.done, rest.first(std::min(rest.size(), kRound)));
      outcome.done += round.done;
      outcome.error = round.error;
      if (round.done < std::min(rest.size(), kRound)) break;
    }
    return outcome;
  }

 private:
  static constexpr std::size_t kRound = kPiece * kTracks;

  /// One piece a track; what counts is what is done without a gap.
  template <class Byte>
  IoOutcome one_round(std::uint64_t offset, std::span<Byte> bytes) {
    std::array<IoOutcome, kTracks> outcomes{};
    const std::size_t pieces = (bytes.size() + kPiece - 1) / kPiece;
    for (std::size_t i = 0; i < pieces; ++i) {
      const auto piece = bytes.subspan(i * kPiece, std::min(kPiece, bytes.size() - i * kPiece));
      step(tracks_[i], offset + i * kPiece, piece, outcomes[i]);
    }
    context_.restart();
    context_.run();
    IoOutcome sum;
    for (std::size_t i = 0; i < pieces; ++i) {
      sum.done += outcomes[i].done;
      sum.error = outcomes[i].error;
      if (outcomes[i].done < std::min(kPiece, bytes.size() - i * kPiece)) break;
    }
    return sum;
  }

  /// Asks for what is left of a piece; the answer asks again while the piece is not whole.
  template <class Byte>
  void step(asio::random_access_file& file, std::uint64_t offset, std::span<Byte> piece, IoOutcome& outcome) {
    const auto rest = piece.subspan(outcome.done);
    auto answer = [this, &file, offset, piece, &outcome](const Code& code, std::size_t moved) {
      outcome.done += moved;
      if (code == asio::error::eof) return;
      if (code && code.value() != EINTR && code.value() != EAGAIN) {
        outcome.error = code.value();
      } else if (outcome.done < piece.size() && (code || moved > 0)) {
        step(file, offset, piece, outcome);
      }
    };
    if constexpr (std::is_const_v<Byte>) {
      file.async_write_some_at(offset + outcome.done, asio::buffer(rest.data(), rest.size()),
                               std::move(answer));
    } else {
      file.async_read_some_at(offset + outcome.done, asio::buffer(rest.data(), rest.size()),
                              std::move(answer));
    }
  }

  asio::io_context context_{1};
  std::vector<asio::random_access_file> tracks_;
};

uvm::Result<std::unique_ptr<Lane>> make_lane(int fd) {
  try {
    return std::make_unique<Lane>(fd);
  } catch (const boost::system::system_error& failure) {
    return uvm::Error::from_errno(failure.code().value(), "setting up io_uring",
                                  "allow io_uring (sysctl kernel.io_uring_disabled, the container's seccomp "
                                  "profile) for fewer system calls");
  } catch (const std::bad_alloc&) {
    return uvm::Error(uvm::ErrorKind::NoMemory, "setting up io_uring");
  }
}

class UringFileIo final : public FileIo {
 public:
  UringFileIo(int fd, std::unique_ptr<Lane> first) : fd_(fd), plain_(plain_file_io(fd)) {
    idle_.push_back(std::move(first));
  }

  IoOutcome read(std::uint64_t offset, std::span<std::byte> to) override {
    return on_a_lane([&](Lane& lane) { return lane.transfer(offset, to); },
                     [&] { return plain_->read(offset, to); });
  }
  IoOutcome write(std::uint64_t offset, std::span<const std::byte> from) override {
    return on_a_lane([&](Lane& lane) { return lane.transfer(offset, from); },
                     [&] { return plain_->write(offset, from); });
  }
  [[nodiscard]] std::string_view name() const override { return "io_uring"; }

 private:
  /// `otherwise` is for a caller that found all lanes busy and no room for another.
  template <class Use, class Otherwise>
  IoOutcome on_a_lane(Use use, Otherwise otherwise) {
    auto lane = take();
    if (lane == nullptr) return otherwise();
    IoOutcome outcome;
    try {
      outcome = use(*lane);
    } catch (const std::exception&) {
      return {0, EIO};  // the ring is in an unknown state: it goes
    }
    const uvm::MutexLock lock(mutex_);
    idle_.push_back(std::move(lane));
    return outcome;
  }

  std::unique_ptr<Lane> take() {
    {
      const uvm::MutexLock lock(mutex_);
      if (!idle_.empty()) {
        auto lane = std::move(idle_.back());
        idle_.pop_back();
        return lane;
      }
    }
    auto lane = make_lane(fd_);
    return lane ? std::move(*lane) : nullptr;
  }

  const int fd_;
  const std::unique_ptr<FileIo> plain_;
  uvm::Mutex mutex_{uvm::LockRank::Leaf};
  std::vector<std::unique_ptr<Lane>> idle_ GUARDED_BY(mutex_);
};

}  // namespace

uvm::Result<std::unique_ptr<FileIo>> uring_file_io(int fd) {
  UVMM_TRY(auto lane, make_lane(fd));
  return std::unique_ptr<FileIo>(std::make_unique<UringFileIo>(fd, std::move(lane)));
}

}  // namespace vmm
