// A file of the host as a memory object: kernels, initial RAM disks, firmware, images of memory.
//
// Its pages are the host's page cache, so two guests of one kernel share them. That also means that others
// can change them, and take them away: whoever may write the file can cut it. Linux then takes away what lies
// past the new end from every mapping, private copies of those pages included. What is promised:
//   - an access of ours to such a page is PagerIo, with file and offset; never a signal
//   (host/guarded_copy.h);
//   - a guest's access is an event or an exit that the same error explains;
//   - pages before the new end go on working;
//   - what a pin holds stays, bytes and frame: pins hold copies in memory of ours (Tenure::Revocable), made
//     before the pin is handed out. Not so in a shared mapping, which has no copies: see the first line. Nor
//     of a file that is Tenure::Kept: its maker replaces it as a whole and never cuts it, as uvmm does with
//     its snapshots. Who cuts it nevertheless takes pages from pins as from the guest, and each access says
//     so.
// Replacing a file by renaming another one over it takes nothing from anybody.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "ept/host/backing.h"

namespace ept::host {

/// How a file is opened.
enum class FileAccess {
  ReadOnly,   // guests get its pages shared for reading, or copy-on-write; it is never written
  ReadWrite,  // shared mappings may write the file itself
};

/// Thread-safe.
class FileObject final : public Backing {
 public:
  /// Regular files only (a FIFO or device has no pages to map). Errors: NotFound, Permission, Invalid (not a
  /// regular file, or empty), System.
  static uvm::Result<std::unique_ptr<FileObject>> open(std::string path,
                                                       FileAccess access = FileAccess::ReadOnly,
                                                       uvm::Tenure tenure = uvm::Tenure::Revocable);
  /// A descriptor that somebody else opened, for what it was opened for; one that cannot be read is refused.
  /// `path` only names it. Errors: as open().
  static uvm::Result<std::unique_ptr<FileObject>> adopt(UniqueFd fd, std::string path,
                                                        uvm::Tenure tenure = uvm::Tenure::Revocable);

  /// As many pages as the file has now. Errors: EndOfObject (it never had that page), PagerIo (it was cut),
  /// Protection (a write, of a file that was opened read-only).
  [[nodiscard]] uvm::Result<uvm::FrameRun> get(const uvm::PagerRequest& request) override;
  [[nodiscard]] uvm::Status check_page(std::uint64_t index) const override;
  [[nodiscard]] uvm::Tenure tenure() const override { return tenure_; }
  /// Bytes when it was opened.
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  /// Bytes it has now, at most size(); 0 when that cannot be found out.
  [[nodiscard]] std::uint64_t present_size() const override;
  [[nodiscard]] uvm::Protection max_protection() const override {
    return access_ == FileAccess::ReadWrite ? uvm::Protection::All : uvm::Protection::ReadExecute;
  }
  /// "file PATH"
  [[nodiscard]] std::string_view name() const override { return name_; }

  [[nodiscard]] const std::string& path() const { return path_; }
  /// Whether size or modification time differ from what they were at open(): pages nobody copied yet show the
  /// new contents.
  [[nodiscard]] bool changed_since_open() const;

 private:
  FileObject(UniqueFd fd, std::string path, FileAccess access, uvm::Tenure tenure, const struct stat& status);

  std::string path_;
  std::string name_;
  FileAccess access_;
  uvm::Tenure tenure_;
  std::uint64_t size_;
  timespec modified_;
};

}  // namespace ept::host
