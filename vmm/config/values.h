// The words and numbers that the command line and the JSON form share: sizes, counts, addresses, names of
// modes. Each parser takes the text alone and says what is wrong with it; the caller adds which option or key
// it was.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/machine/config.h"

namespace vmm::config {

/// "512M", "2G", "1536" → bytes. K, M, G and T are powers of 1024, in either case, "B" or "iB" may follow; a
/// plain number is MiB, as in QEMU and kvmtool. "size=2G" is taken too (QEMU, Cloud Hypervisor).
[[nodiscard]] uvm::Result<std::uint64_t> parse_size(std::string_view text);

/// The shortest of the same form, for messages: "512M", "2G", "1500K", "4097 bytes".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// "4", also "cpus=4" (QEMU) and "boot=4" (Cloud Hypervisor).
[[nodiscard]] uvm::Result<std::uint32_t> parse_vcpus(std::string_view text);

/// "0x100000" or decimal: a guest-physical address in bytes.
[[nodiscard]] uvm::Result<std::uint64_t> parse_address(std::string_view text);

/// How many forks of a machine there may be.
[[nodiscard]] uvm::Result<std::uint32_t> parse_max_children(std::string_view text);
[[nodiscard]] uvm::Result<std::uint32_t> parse_ready_copies(std::string_view text);

/// The interrupt of device processes' bells.
[[nodiscard]] uvm::Result<unsigned> parse_pin_irq(std::string_view text);

/// "SOCKET,tag=TAG": the path may hold commas, the tag may not.
[[nodiscard]] uvm::Result<vhost_user::Options> parse_vhost_user_fs(std::string_view text);

/// "02:4a:9f:00:00:01", in either case.
[[nodiscard]] uvm::Result<virtio::net::MacAddress> parse_mac(std::string_view text);

/// Errors name the nearest valid word and list all.
[[nodiscard]] uvm::Result<vhost_user::Kind> parse_vhost_user_kind(std::string_view name);
[[nodiscard]] uvm::Result<MemoryBacking> parse_backing(std::string_view name);
[[nodiscard]] uvm::Result<HugePages> parse_huge_pages(std::string_view name);
[[nodiscard]] uvm::Result<IrqChip> parse_irqchip(std::string_view name);
[[nodiscard]] uvm::Result<DebugExitStatus> parse_debug_exit(std::string_view name);
/// Firecracker's cache_type: "Writeback" honours a guest's flushes, "Unsafe" ignores them.
[[nodiscard]] uvm::Result<virtio::blk::Flush> parse_cache_type(std::string_view name);
[[nodiscard]] uvm::Result<virtio::net::BackEnd> parse_net_back_end(std::string_view name);
[[nodiscard]] uvm::Result<SwapError> parse_swap_error(std::string_view name);
[[nodiscard]] uvm::Result<ConsoleMode> parse_console(std::string_view name);
[[nodiscard]] uvm::Result<VirtioTransport> parse_virtio_transport(std::string_view name);
[[nodiscard]] uvm::Result<ShowMap> parse_show_map(std::string_view name);
[[nodiscard]] uvm::Result<ClockPolicy> parse_clock(std::string_view name);
[[nodiscard]] uvm::Result<gdb::OnKill> parse_on_kill(std::string_view name);
[[nodiscard]] uvm::Result<gdb::OnDisconnect> parse_on_disconnect(std::string_view name);
[[nodiscard]] uvm::Result<gdb::AtStart> parse_at_start(std::string_view name);
/// The name itself if it is one of bzimage, elf64, …
[[nodiscard]] uvm::Result<std::string> parse_kernel_format(std::string_view name);
/// The canonical spelling of a log level ("Warn" → "warning").
[[nodiscard]] uvm::Result<std::string> parse_log_level(std::string_view name);

[[nodiscard]] std::string_view to_string(vhost_user::Kind value);
[[nodiscard]] std::string_view to_string(MemoryBacking value);
[[nodiscard]] std::string_view to_string(HugePages value);
[[nodiscard]] std::string_view to_string(IrqChip value);
[[nodiscard]] std::string_view to_string(DebugExitStatus value);
[[nodiscard]] std::string_view to_string(virtio::blk::Flush value);
[[nodiscard]] std::string_view to_string(virtio::net::BackEnd value);
[[nodiscard]] std::string to_string(const virtio::net::MacAddress& address);
[[nodiscard]] std::string_view to_string(SwapError value);
[[nodiscard]] std::string_view to_string(ConsoleMode value);
[[nodiscard]] std::string_view to_string(VirtioTransport value);
[[nodiscard]] std::string_view to_string(ShowMap value);
[[nodiscard]] std::string_view to_string(gdb::OnKill value);
[[nodiscard]] std::string_view to_string(gdb::OnDisconnect value);
[[nodiscard]] std::string_view to_string(gdb::AtStart value);

}  // namespace vmm::config
