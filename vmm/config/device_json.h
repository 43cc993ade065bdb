// The sections of a configuration that make virtio devices: Firecracker's keys, and a few of our own (marked
// *). A member in brackets may be left out.
//
//   drives              [ {drive_id, path_on_host, [is_root_device, partuuid, is_read_only, cache_type,
//                       io_engine, serial*, queues*]} ]
//                       is_root_device  true puts the disk first and its name behind boot_args, as root=
//                       cache_type      "Writeback": a flush of the guest's is honoured, as without the key;
//                                       "Unsafe": it is not
//                       io_engine       "Sync" or "Async": either, I/O never waits here
//   network-interfaces  [ {iface_id, [host_dev_name, guest_mac, back_end*, passt_socket*]} ]
//                       back_end        "tap", or "passt", which needs no rights
//   vsock               {guest_cid, uds_path, [vsock_id]}
//   balloon             {amount_mib, [deflate_on_oom, stats_polling_interval_s, free_page_reporting,
//                       free_page_hinting]}; hinting true is refused: reporting does what it does
//   entropy             {}
//   pmem                [ {id, path_on_host, read_only, [root_device]} ]; read_only is true, the image is
//                       shared; root_device true is refused
//   rate_limiter, rx_rate_limiter, tx_rate_limiter   none: null, {} or members that are null
#pragma once

#include "uvm/base/error.h"
#include "vmm/config/json_member.h"
#include "vmm/machine/config.h"

namespace vmm::config {

// A whole section. Devices of a list are added to those that are there.

[[nodiscard]] uvm::Status apply_drives(const JsonMember& section, MachineConfig& config);
[[nodiscard]] uvm::Status apply_networks(const JsonMember& section, MachineConfig& config);
[[nodiscard]] uvm::Status apply_vsock(const JsonMember& section, MachineConfig& config);
[[nodiscard]] uvm::Status apply_balloon(const JsonMember& section, MachineConfig& config);
[[nodiscard]] uvm::Status apply_entropy(const JsonMember& section, MachineConfig& config);
[[nodiscard]] uvm::Status apply_pmem(const JsonMember& section, MachineConfig& config);

// One device, in the place of the one with its id or behind all others.

[[nodiscard]] uvm::Status put_drive(const JsonMember& drive, MachineConfig& config);
[[nodiscard]] uvm::Status put_network(const JsonMember& network, MachineConfig& config);
[[nodiscard]] uvm::Status put_pmem(const JsonMember& image, MachineConfig& config);

}  // namespace vmm::config
