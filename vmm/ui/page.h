// The page that shows a guest's memory.
#pragma once

#include <string>

#include "uvm/base/error.h"

namespace vmm::ui {

/// What a page is made of. Texts are JSON as the API gives it, and may hold what a guest or a stranger wrote.
struct PageContent {
  // Where it looks for newer tiles, relative to its own address; empty: it shows what it was given, and that
  // only.
  std::string tiles;
  std::string other_tiles;  // of the guest it is compared with
  std::string holders;      // {"DEVICE:INODE": how many guests use that object, …}
  // What it shows at first; empty: it asks.
  std::string first;
  std::string other_first;
  std::string holders_first;
};

struct Page {
  std::string html;
  std::string policy;  // its Content-Security-Policy; the page also says it itself
};

/// One file that loads nothing and sends nothing but what `content` names. Errors: System (no random
/// numbers).
[[nodiscard]] uvm::Result<Page> make_page(const PageContent& content);

}  // namespace vmm::ui
