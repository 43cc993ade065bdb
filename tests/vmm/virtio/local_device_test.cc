// The life of a device in this process: started, notified, at rest, broken, stopped; with the random number
// generator and with a service that takes its time.
#include "vmm/virtio/local_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>

#include "tests/support/eventually.h"
#include "tests/support/virtio_driver.h"
#include "tests/support/virtio_space.h"
#include "vmm/snapshot/section_fields.h"
#include "vmm/virtio/rng/rng.h"

namespace vmm::virtio {
namespace local_device_test {

using test::eventually;
using test::VirtioDriver;
using Part = VirtioDriver::Part;
constexpr auto kWriting = Part::For::Writing;

/// Takes a chain and gives it back when the test says so.
class SlowService : public Service {
 public:
  struct Control {
    std::atomic<bool> hold = true;
    std::atomic<int> taken = 0;
    std::atomic<int> drains = 0;
    boost::asio::io_context* io = nullptr;
    std::function<void()> release;  // on the thread
  };
  explicit SlowService(Control& control) : control_(control) {
    control_.release = [this] { finish(); };
  }
  [[nodiscard]] DeviceType type() const override { return DeviceType::Block; }
  [[nodiscard]] std::uint64_t features() const override { return 0; }
  [[nodiscard]] unsigned queues() const override { return 1; }
  void read_config(std::uint64_t /*offset*/, std::span<std::byte> /*data*/) const override {}
  uvm::Status attach(const Thread& thread) override {
    control_.io = &thread.io;
    return uvm::ok();
  }
  void started(QueueSet& /*queues*/) override {}
  uvm::Status serve(SplitQueue& queue) override {
    Chain chain;
    UVMM_TRY(const bool is_there, queue.pop(chain));
    if (!is_there) return uvm::ok();
    ++control_.taken;
    queue_ = &queue;
    head_ = chain.head;
    if (!control_.hold) finish();
    return uvm::ok();
  }
  void drain(std::function<void()> done) override {
    ++control_.drains;
    done_ = std::move(done);
    if (queue_ == nullptr) std::exchange(done_, {})();
  }

 private:
  void finish() {
    if (queue_ == nullptr) return;
    queue_->push(head_, 7);
    queue_->publish();
    queue_ = nullptr;
    if (done_) std::exchange(done_, {})();
  }

  Control& control_;
  SplitQueue* queue_ = nullptr;
  std::uint16_t head_ = 0;
  std::function<void()> done_;
};

class LocalDeviceTest : public test::VirtioSpace {
 protected:
  LocalDeviceTest() : test::VirtioSpace(kRamPages) {}

  std::unique_ptr<LocalDevice> device(std::unique_ptr<Service> service) {
    return attached("test0", std::move(service));
  }
  Activation activation() { return {kFeatureVersion1, {driver_.queue()}}; }
  std::vector<std::byte> saved(LocalDevice& device) {
    snapshot::SectionWriter writer;
    test::DeviceSection section(device);
    snapshot::save(writer, section);
    return std::move(writer).finish();
  }

  VirtioDriver driver_{*space_, kPage, 8};
};

TEST_F(LocalDeviceTest, RandomNumbersComeWhenTheDriverAsks) {
  const auto rng = device(std::make_unique<rng::Rng>(*space_));
  EXPECT_EQ(rng->type(), DeviceType::Entropy);
  driver_.offer({{5 * kPage, 32, kWriting}});
  rng->start(activation());
  EXPECT_EQ(driver_.wait_used(), (VirtioDriver::Used{0, 32})) << "what was there before the start";
  const std::string first = driver_.get_bytes(5 * kPage, 32);
  EXPECT_NE(first, std::string(32, '\0'));
  driver_.offer({{6 * kPage, 300, kWriting}, {5 * kPage, 32, kWriting}});
  driver_.notify();
  EXPECT_EQ(driver_.wait_used(), (VirtioDriver::Used{1, 332}));
  EXPECT_NE(driver_.get_bytes(5 * kPage, 32), first);
  EXPECT_GE(driver_.interrupts(), 1U);
}

TEST_F(LocalDeviceTest, ABufferThatIsTooLongIsFilledInPart) {
  const auto rng = device(std::make_unique<rng::Rng>(*space_));
  driver_.offer({{4 * kPage, 12 * kPage, kWriting}, {4 * kPage, 12 * kPage, kWriting}});
  rng->start(activation());
  EXPECT_EQ(driver_.wait_used(), (VirtioDriver::Used{0, rng::Rng::kMostAtOnce}));
}

TEST_F(LocalDeviceTest, ABrokenRingStopsItUntilAReset) {
  const auto rng = device(std::make_unique<rng::Rng>(*space_));
  rng->start(activation());
  driver_.offer({{kRamPages * kPage, 8, kWriting}});
  driver_.notify();
  EXPECT_TRUE(eventually([&] { return host_.failures == 1; }));
  EXPECT_EQ(pinned(), 0U);
  rng->stop();
  EXPECT_TRUE(eventually([&] { return host_.stops == 1; }));
  EXPECT_EQ(host_.failures, 1);
}

TEST_F(LocalDeviceTest, AtRestItHoldsNothingAndGoesOnWhereItWas) {
  const auto rng = device(std::make_unique<rng::Rng>(*space_));
  rng->start(activation());
  driver_.offer({{5 * kPage, 8, kWriting}});
  driver_.notify();
  ASSERT_TRUE(driver_.wait_used());
  EXPECT_NE(pinned(), 0U);
  rng->rest();
  rng->rest();
  EXPECT_EQ(pinned(), 0U);
  driver_.offer({{5 * kPage, 8, kWriting}});
  driver_.notify();
  rng->go_on();
  EXPECT_FALSE(driver_.used()) << "two have asked for rest";
  rng->go_on();
  EXPECT_EQ(driver_.wait_used(), (VirtioDriver::Used{1, 8}));
}

TEST_F(LocalDeviceTest, WorkAtRestIsDoneAloneOrNotAtAll) {
  const auto rng = device(std::make_unique<rng::Rng>(*space_));
  rng->start(activation());
  driver_.offer({{5 * kPage, 8, kWriting}});
  driver_.notify();
  ASSERT_TRUE(driver_.wait_used());
  std::uint64_t held = 1;
  ASSERT_TRUE(rng->work_at_rest([&] { held = pinned(); }));
  EXPECT_EQ(held, 0U);
  driver_.offer({{5 * kPage, 8, kWriting}});
  driver_.notify();
  EXPECT_TRUE(driver_.wait_used()) << "it goes on";
  rng->rest();
  bool worked = false;
  const auto refused = rng->work_at_rest([&] { worked = true; });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), uvm::ErrorKind::Busy);
  EXPECT_FALSE(worked);
  rng->go_on();
}

TEST_F(LocalDeviceTest, AnotherGoesOnWhereTheFirstWas) {
  auto rng = device(std::make_unique<rng::Rng>(*space_));
  rng->start(activation());
  driver_.offer({{5 * kPage, 8, kWriting}});
  driver_.notify();
  ASSERT_TRUE(driver_.wait_used());
  rng->rest();
  const auto state = saved(*rng);
  driver_.offer({{5 * kPage, 9, kWriting}});
  rng.reset();

  const auto second = device(std::make_unique<rng::Rng>(*space_));
  second->rest();
  second->place(activation());
  test::DeviceSection section(*second);
  const auto table = snapshot::SectionTable::read(state);
  ASSERT_TRUE(table);
  ASSERT_TRUE(snapshot::restore(*table, section));
  second->go_on();
  EXPECT_EQ(driver_.wait_used(), (VirtioDriver::Used{1, 9}));
}

TEST_F(LocalDeviceTest, RestWaitsForWhatIsUnderWay) {
  SlowService::Control control;
  const auto slow = device(std::make_unique<SlowService>(control));
  slow->start(activation());
  driver_.offer({{5 * kPage, 8, kWriting}});
  driver_.notify();
  ASSERT_TRUE(eventually([&] { return control.taken == 1; }));
  std::thread releasing([&] {
    EXPECT_TRUE(eventually([&] { return control.drains == 1; }));
    boost::asio::post(*control.io, [&] { control.release(); });
  });
  slow->rest();
  EXPECT_EQ(driver_.used(), (VirtioDriver::Used{0, 7}));
  EXPECT_EQ(pinned(), 0U);
  slow->go_on();
  releasing.join();
}

TEST_F(LocalDeviceTest, AStopAndARestAtOnceAreBothAnswered) {
  SlowService::Control control;
  const auto slow = device(std::make_unique<SlowService>(control));
  slow->start(activation());
  driver_.offer({{5 * kPage, 8, kWriting}});
  driver_.notify();
  ASSERT_TRUE(eventually([&] { return control.taken == 1; }));
  slow->stop();
  std::thread releasing([&] {
    EXPECT_TRUE(eventually([&] { return control.drains == 1; }));
    boost::asio::post(*control.io, [&] { control.release(); });
  });
  slow->rest();
  EXPECT_EQ(host_.stops, 1);
  EXPECT_EQ(control.drains, 1) << "the service is asked once";
  slow->go_on();
  releasing.join();
}

TEST_F(LocalDeviceTest, ItEndsWithAChainInItsHands) {
  SlowService::Control control;
  auto slow = device(std::make_unique<SlowService>(control));
  slow->start(activation());
  driver_.offer({{5 * kPage, 8, kWriting}});
  driver_.notify();
  ASSERT_TRUE(eventually([&] { return control.taken == 1; }));
  std::thread releasing([&] {
    EXPECT_TRUE(eventually([&] { return control.drains == 1; }));
    boost::asio::post(*control.io, [&] { control.release(); });
  });
  slow.reset();
  EXPECT_EQ(pinned(), 0U);
  releasing.join();
}

}  // namespace local_device_test
}  // namespace vmm::virtio
