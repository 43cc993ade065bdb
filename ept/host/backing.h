// What a window can map: a pager whose frames are the pages of one file descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ept/host/fd.h"
#include "uvm/frame.h"
#include "uvm/pager.h"

namespace ept::host {

/// Whether somebody prefers pages of 2 MiB and more.
enum class HugePages { Want, Never };

/// The kind of file behind a backing decides what the host can do with a mapping of it.
enum class BackingKind {
  Memory,  // tmpfs or memfd: userfaultfd can watch it where it can be written
  File,    // any other file: accesses cannot be watched
};

/// Frame n of a backing is page n of its file, so runs of frames are runs of file pages and one host mapping
/// covers them.
class Backing : public uvm::Pager, public uvm::FrameStore {
 public:
  /// Owned by the backing; open for as long as it lives.
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] BackingKind kind() const { return kind_; }
  /// Never used twice in this process, so that a new backing at an old address is not taken for the old one.
  [[nodiscard]] std::uint64_t serial() const { return serial_; }

  /// Whether page `index`, which get() gave, can still be had. Errors: PagerIo, naming backing and offset.
  /// Neither sleeps nor locks. By default it can.
  [[nodiscard]] virtual uvm::Status check_page(std::uint64_t index) const;

  /// Copies page `index` into `page` (4096 bytes); bytes of the last page past the end of the file read as
  /// zeros. Errors: EndOfObject, PagerIo.
  [[nodiscard]] uvm::Status read_page(std::uint64_t index, std::span<std::byte> page) const;

  /// Writes bytes of page `index`, from `offset` on; those past the end of the last page of a file are
  /// dropped. Errors: Protection (what was opened or frozen for reading), PagerIo (the page is gone),
  /// NoMemory.
  [[nodiscard]] uvm::Status write(std::uint64_t index, std::uint64_t offset,
                                  std::span<const std::byte> from) const;

  [[nodiscard]] std::string_view name() const override = 0;
  [[nodiscard]] uvm::ObjectIdentity identity() const override { return identity_; }
  [[nodiscard]] bool answers_at_once() const override { return kind_ == BackingKind::Memory; }

 protected:
  Backing(UniqueFd fd, BackingKind kind);

  /// get() of a backing that is `bytes` long now. Errors: EndOfObject.
  [[nodiscard]] uvm::Result<uvm::FrameRun> run_of(const uvm::PagerRequest& request, std::uint64_t bytes);

 private:
  UniqueFd fd_;
  BackingKind kind_;
  std::uint64_t serial_;
  uvm::ObjectIdentity identity_;
};

}  // namespace ept::host
