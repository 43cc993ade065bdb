// The table of what can be asked.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "uvm/base/error.h"
#include "vmm/api/controller.h"
#include "vmm/api/message.h"

namespace vmm::api {

/// When a request may come: at any time, before the guest runs, or while it does.
enum class Phase : std::uint8_t { Any, BeforeBoot, Running };
/// Whether a request has a JSON object with it.
enum class Body : std::uint8_t { None, Optional, Needed };

struct Call {
  Controller& controller;
  const std::string& id;           // what stands in the place of {…} in the path
  const boost::json::value& body;  // an object; empty where there is none
  [[nodiscard]] Guest& guest() const { return *controller.guest(); }  // Phase::Running only
};

struct Route {
  Method method;
  std::string_view path;  // "/drives/{drive_id}"
  Phase phase;
  Body body;
  uvm::Result<Answer> (*run)(const Call& call);
};

/// All of them.
[[nodiscard]] std::span<const Route> routes();

// Parts of the table, in files of their own.

[[nodiscard]] uvm::Result<Answer> put_boot_source(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_machine_config(const Call& call);
[[nodiscard]] uvm::Result<Answer> patch_machine_config(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_drive(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_network(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_pmem(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_vsock(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_balloon(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_entropy(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_logger(const Call& call);
[[nodiscard]] uvm::Result<Answer> put_metrics(const Call& call);

[[nodiscard]] uvm::Result<Answer> get_instance(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_version(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_config(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_machine_config(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_balloon(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_balloon_statistics(const Call& call);
[[nodiscard]] uvm::Result<Answer> get_debugger(const Call& call);

[[nodiscard]] uvm::Result<Answer> put_action(const Call& call);
[[nodiscard]] uvm::Result<Answer> patch_vm(const Call& call);
[[nodiscard]] uvm::Result<Answer> patch_drive(const Call& call);
[[nodiscard]] uvm::Result<Answer> patch_network(const Call& call);
[[nodiscard]] uvm::Result<Answer> patch_balloon(const Call& call);
[[nodiscard]] uvm::Result<Answer> patch_balloon_statistics(const Call& call);
[[nodiscard]] uvm::Result<Answer> create_snapshot(const Call& call);
[[nodiscard]] uvm::Result<Answer> load_snapshot(const Call& call);

}  // namespace vmm::api
