// Routes of uvmm's own: copies of the guest, its memory, and what happens to it.
#pragma once

#include "vmm/api/routes.h"

namespace vmm::api {

inline constexpr std::uint64_t kMostCopies = 256;  // of one request

[[nodiscard]] uvm::Result<Answer> put_fork(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_checkpoint(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_reset(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_map(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_tiles(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_page(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_statistics(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_pins(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_metrics(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_events(const Call& call);

}  // namespace vmm::api
