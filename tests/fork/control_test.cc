// The control socket from the side of somebody who means no good, or does not know better.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/kvm_machine.h"
#include "tests/support/running_machine.h"
#include "vmm/control/client.h"
#include "vmm/pin_client/local_socket.h"
#include "vmm/pin_client/message.h"

namespace vmm::control {
namespace control_test {

using ::testing::HasSubstr;

class Control : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    socket_ = testing::TempDir() + "uvmm-control-" + std::to_string(::getpid());
    auto config = test::builtin_config("spin");
    config.control.socket = socket_;
    machine_ = std::make_unique<test::RunningMachine>(config);
    ASSERT_TRUE(machine_->wait_for_work());
  }

  /// The answer to a packet, whatever it holds.
  std::string answer_to(std::string_view packet) {
    auto connection = pins::connect_to(socket_);
    EXPECT_TRUE(connection) << connection.error().text();
    pins::Message request;
    request.put_text(packet);
    EXPECT_TRUE(pins::send(connection->get(), request));
    auto answer = pins::receive(connection->get());
    EXPECT_TRUE(answer) << answer.error().text();
    return answer ? std::string(answer->take_text()) : std::string();
  }

  std::string socket_;
  std::unique_ptr<test::RunningMachine> machine_;
};

TEST_F(Control, WhatIsNoRequestIsRefusedInOneLine) {
  for (const char* packet : {"rubbish", "[]", "{}", "{\"verb\": 3}", "{\"verb\": \"dance\"}", "\xff\xfe",
                             "{\"verb\":", "{\"verb\": \"checkpoint\", \"name\": {}}",
                             "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"}) {
    const std::string answer = answer_to(packet);
    EXPECT_THAT(answer, HasSubstr("\"ok\":false")) << packet;
    EXPECT_EQ(answer.find('\n'), std::string::npos) << packet;
  }
  EXPECT_THAT(answer_to("{\"verb\": \"dance\"}"), HasSubstr("there is no verb 'dance'"));
  EXPECT_THAT(answer_to("{\"verb\": \"status\"}"), HasSubstr("\"name\":\"test\""));
}

TEST_F(Control, RandomPacketsHarmNobody) {
  std::mt19937_64 random(23);
  const std::string good = "{\"verb\": \"status\", \"name\": \"x\"}";
  for (int i = 0; i < 300; ++i) {
    std::string packet = good;
    for (int n = 0; n < 3; ++n) packet[random() % packet.size()] = static_cast<char>(random());
    EXPECT_THAT(answer_to(packet), HasSubstr("\"ok\":"));
  }
}

TEST_F(Control, APausedMachineStandsStillUntilResumed) {
  ASSERT_TRUE(ask(socket_, "pause"));
  ASSERT_TRUE(ask(socket_, "pause"));
  const auto once = fetch_image(socket_);
  const auto twice = fetch_image(socket_);
  ASSERT_TRUE(once) << once.error().text();
  ASSERT_TRUE(twice) << twice.error().text();
  EXPECT_EQ(once->memory.changed_pages(), twice->memory.changed_pages());
  EXPECT_THAT(ask(socket_, "status").value(), HasSubstr("\"paused\":true"));
  ASSERT_TRUE(ask(socket_, "resume"));
  EXPECT_TRUE(machine_->wait_for_work());
}

TEST_F(Control, AskersWhoGoAwayAreForgotten) {
  for (int i = 0; i < 200; ++i) {
    auto connection = pins::connect_to(socket_);
    ASSERT_TRUE(connection) << connection.error().text();
    pins::Message request;
    request.put_text("{\"verb\": \"image\"}");
    EXPECT_TRUE(pins::send(connection->get(), request));
  }
  EXPECT_TRUE(ask(socket_, "status"));
}

TEST_F(Control, SeveralAskAtOnceAndTheMachineEndsAmongThem) {
  std::vector<std::thread> askers;
  for (int i = 0; i < 4; ++i) {
    askers.emplace_back([this] {
      for (int n = 0; n < 20; ++n) {
        if (!ask(socket_, "checkpoint") || !ask(socket_, "reset")) return;
        if (!fetch_image(socket_)) return;
      }
    });
  }
  for (auto& asker : askers) asker.join();
  ASSERT_TRUE(ask(socket_, "quit"));
  EXPECT_EQ(machine_->end().status, 0);
  EXPECT_FALSE(ask(socket_, "status"));
  EXPECT_FALSE(std::filesystem::exists(socket_));
}

}  // namespace control_test
}  // namespace vmm::control
