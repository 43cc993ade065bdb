#include <atomic>

#include "tests/support/sim_mmu.h"

namespace test {

using uvm::AccessKind;
using uvm::Gpa;
using uvm::MutexLock;

SimCpu::SimCpu(uvm::Space& space, SimMmu& mmu) : space_(space), mmu_(mmu) {
  mmu_.add(this);
}

SimCpu::~SimCpu() {
  mmu_.forget(this);
}

void SimCpu::flush(std::optional<std::uint64_t> page) {
  const MutexLock lock(lock_);
  if (page) {
    tlb_.erase(*page);
  } else {
    tlb_.clear();
  }
}

bool SimCpu::caches(Gpa page) {
  const MutexLock lock(lock_);
  return tlb_.count(page.page()) != 0;
}

bool SimCpu::holds(const std::byte* bytes) {
  const MutexLock lock(lock_);
  for (const auto& [page, cached] : tlb_) {
    if (cached.bytes == bytes) return true;
  }
  return false;
}

template <class F>
uvm::Status SimCpu::with_page(Gpa at, AccessKind access, F&& use) {
  const std::uint64_t page = at.page();
  while (true) {
    auto outcome = SimMmu::Outcome::Event;
    {
      const MutexLock lock(lock_);
      auto cached = tlb_.find(page);
      if (cached == tlb_.end() || !includes(cached->second.rights, needed(access))) {
        const SimMmu::Walk found = mmu_.walk(page, access);
        outcome = found.outcome;
        if (outcome == SimMmu::Outcome::Found) {
          cached = tlb_.insert_or_assign(page, Cached{found.bytes, found.rights}).first;
        }
      } else {
        outcome = SimMmu::Outcome::Found;
      }
      if (outcome == SimMmu::Outcome::Found) {
        use(cached->second.bytes);
        return uvm::ok();
      }
    }
    if (outcome == SimMmu::Outcome::HostWork) {
      mmu_.host_work(page);
    } else {
      ++events_;
      UVMM_CHECK(space_.fault(at, access));
    }
  }
}

uvm::Status SimCpu::read(Gpa from, std::span<std::byte> to) {
  for (std::size_t done = 0; done < to.size();) {
    const Gpa at = from + done;
    const std::size_t bytes = std::min<std::size_t>(to.size() - done, uvm::kPageSize - at.offset_in_page());
    UVMM_CHECK(with_page(at, AccessKind::Read, [&](std::byte* page) {
      for (std::size_t i = 0; i < bytes; ++i) {
        std::atomic_ref<std::byte> source(page[at.offset_in_page() + i]);
        to[done + i] = source.load(std::memory_order_relaxed);
      }
    }));
    done += bytes;
  }
  return uvm::ok();
}

uvm::Status SimCpu::write(Gpa to, std::span<const std::byte> from) {
  for (std::size_t done = 0; done < from.size();) {
    const Gpa at = to + done;
    const std::size_t bytes = std::min<std::size_t>(from.size() - done, uvm::kPageSize - at.offset_in_page());
    UVMM_CHECK(with_page(at, AccessKind::Write, [&](std::byte* page) {
      for (std::size_t i = 0; i < bytes; ++i) {
        std::atomic_ref<std::byte> target(page[at.offset_in_page() + i]);
        target.store(from[done + i], std::memory_order_relaxed);
      }
    }));
    done += bytes;
  }
  return uvm::ok();
}

uvm::Status SimCpu::execute(Gpa at) {
  return with_page(at, AccessKind::Execute, [](std::byte*) {});
}

uvm::Result<std::uint64_t> SimCpu::load(Gpa from) {
  std::uint64_t value = 0;
  UVMM_CHECK(with_page(from, AccessKind::Read, [&](std::byte* page) {
    auto* word = reinterpret_cast<std::uint64_t*>(page + from.offset_in_page());
    value = std::atomic_ref<std::uint64_t>(*word).load(std::memory_order_seq_cst);
  }));
  return value;
}

uvm::Status SimCpu::store(Gpa to, std::uint64_t value) {
  return with_page(to, AccessKind::Write, [&](std::byte* page) {
    auto* word = reinterpret_cast<std::uint64_t*>(page + to.offset_in_page());
    std::atomic_ref<std::uint64_t>(*word).store(value, std::memory_order_seq_cst);
  });
}

}  // namespace test
