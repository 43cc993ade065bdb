// A fake machine behind a real server on a socket of its own.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "tests/support/eventually.h"
#include "tests/support/fake_debug_target.h"
#include "tests/support/rsp_client.h"
#include "tests/support/socket_path.h"
#include "vmm/gdb/server.h"

namespace test {

class ServedTarget {
 public:
  explicit ServedTarget(vmm::gdb::ListenAddress address = unix_address(), std::uint32_t threads = 2)
      : target(threads) {
    vmm::gdb::Options options;
    options.listen = std::move(address);
    auto created = vmm::gdb::Server::create(options, target);
    EXPECT_TRUE(created) << created.error().text();
    server = *std::move(created);
    EXPECT_TRUE(server->start());
  }

  static vmm::gdb::ListenAddress unix_address() {
    vmm::gdb::ListenAddress address;
    address.path = test::socket_path("gdb");
    return address;
  }
  [[nodiscard]] const vmm::gdb::ListenAddress& address() const { return server->address(); }
  /// The guest is on its own again, with nothing left in it.
  [[nodiscard]] bool is_left_alone() const {
    return target.state() == FakeDebugTarget::State::Detached && target.breakpoints().empty();
  }
  /// A client that got in; one that came while the last was still being let go tries again.
  [[nodiscard]] std::unique_ptr<RspClient> admitted() const {
    std::unique_ptr<RspClient> client;
    EXPECT_TRUE(eventually([&] {
      client = std::make_unique<RspClient>(address());
      return client->is_connected() && client->ask("qSupported:multiprocess+;swbreak+").has_value();
    }));
    return client;
  }

  FakeDebugTarget target;
  std::unique_ptr<vmm::gdb::Server> server;
};

}  // namespace test
