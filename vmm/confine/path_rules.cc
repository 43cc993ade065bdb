#include "vmm/confine/path_rules.h"

#include <cstdlib>

namespace vmm::confine {
namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void add_socket(const std::string& path, std::vector<PathRule>& rules) {
  if (!path.empty()) rules.push_back({folder_of(path), PathAccess::Sockets});
}

/// A fork's own of a disk is made beside the image.
void add_disk_folders(const MachineConfig& config, std::vector<PathRule>& rules) {
  for (const virtio::blk::Options& drive : config.drives) {
    if (drive.access != virtio::blk::DiskAccess::ReadWrite) continue;
    rules.push_back({folder_of(drive.path), PathAccess::ReadWrite});
  }
}

std::string temporary_folder() {
  const char* const set = std::getenv("TMPDIR");
  return set != nullptr && *set == '/' ? set : "/tmp";
}

}  // namespace

std::vector<PathRule> path_rules(const MachineConfig& config, ThreadKind kind) {
  // Page maps, and frozen memory by the number of its descriptor.
  std::vector<PathRule> rules = {{"/proc/self", PathAccess::Read}};
  for (const virtio::blk::Options& drive : config.drives) {
    const bool writes = drive.access == virtio::blk::DiskAccess::ReadWrite;
    rules.push_back({drive.path, writes ? PathAccess::ReadWrite : PathAccess::Read});
  }
  if (kind == ThreadKind::Control || kind == ThreadKind::Debugger) add_disk_folders(config, rules);
  for (const virtio::pmem::Options& image : config.pmem) rules.push_back({image.path, PathAccess::Read});
  add_socket(config.control.socket, rules);
  add_socket(config.api_socket, rules);
  add_socket(config.pins.socket, rules);
  if (config.gdb.listen) add_socket(config.gdb.listen->path, rules);
  if (config.vsock) add_socket(config.vsock->socket, rules);
  for (const std::string& path : config.confinement.allowed_paths) rules.push_back({path, PathAccess::All});
  if (kind != ThreadKind::Debugger) return rules;
  // A debugger's first visit tries what KVM can do for it.
  rules.push_back({"/dev/kvm", PathAccess::ReadWrite});
  // Its dumps go where somebody says at its prompt.
  rules.push_back({".", PathAccess::All});
  rules.push_back({temporary_folder(), PathAccess::All});
  return rules;
}

}  // namespace vmm::confine
