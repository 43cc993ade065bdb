// The monitor's verbs against a machine that stands at its first instruction.
#include <elf.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "guest/programs/debugee_layout.h"
#include "tests/support/debug_session.h"
#include "tests/support/kvm_machine.h"
#include "tests/support/process.h"
#include "vmm/debug/monitor.h"

namespace vmm {
namespace gdb_monitor_test {

namespace at = guest::programs::debugee;
namespace fs = std::filesystem;

class GdbMonitor : public testing::Test {
 protected:
  void SetUp() override {
    UVMM_REQUIRE_KVM();
    auto config = test::builtin_config("debugee");
    config.vcpus = 2;
    session_ = std::make_unique<test::DebugSession>(config);
    ASSERT_EQ(session_->failure(), "");
    folder_ = fs::temp_directory_path() / ("uvmm-monitor-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }
  /// What the verb says, or "error: " and why not.
  std::string say(const std::string& line) {
    std::string text;
    const auto status =
        session_->target().monitor({1, 1}, line, [&](std::string_view part) { text += part; });
    return status ? text : "error: " + status.error().text();
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }

  std::unique_ptr<test::DebugSession> session_;
  fs::path folder_;
};

TEST_F(GdbMonitor, HelpNamesEveryVerb) {
  const std::string help = say("help");
  for (const auto& verb : debug::monitor_verbs()) {
    EXPECT_NE(help.find(verb.name), std::string::npos) << verb.name;
  }
  EXPECT_NE(say("nonsense").find("'monitor help'"), std::string::npos);
  EXPECT_EQ(say(""), help);
}

TEST_F(GdbMonitor, InfoShowsTheMachine) {
  EXPECT_NE(say("info uvm map").find("ram"), std::string::npos);
  EXPECT_EQ(say("info pins"), "nothing is pinned\n");
  EXPECT_NE(say("info vcpus").find("* vcpu 0: rip 0x0000000000100000"), std::string::npos)
      << say("info vcpus");
  EXPECT_NE(say("info registers").find("RIP=0000000000100000"), std::string::npos) << say("info registers");
  EXPECT_NE(say("info mem").find("0000000000000000-0000000100000000 0000000100000000 -rw"), std::string::npos)
      << say("info mem");
  EXPECT_NE(say("kaslr").find("no Linux kernel"), std::string::npos);
  EXPECT_NE(say("debug-caps").find("trap byte of a breakpoint"), std::string::npos);
}

TEST_F(GdbMonitor, MemoryByPhysicalAndLinearAddress) {
  EXPECT_EQ(say("xp /1gx 0x100020"), "0000000000100020: 0x00000000000001f4\n") << "rounds is 500";
  EXPECT_EQ(say("xp/2bx 0x100020"), "0000000000100020: 0xf4 0x01\n");
  EXPECT_NE(say("gva2gpa 0x100020").find("gpa: 0x100020 (page of 0x200000 bytes, kernel, writable)"),
            std::string::npos)
      << say("gva2gpa 0x100020");
  EXPECT_NE(say("gva2gpa 0xffff888000000000").find("PML4E"), std::string::npos);
  EXPECT_NE(say("xp 0x12345678000").find("error: "), std::string::npos);
  EXPECT_NE(say("xp 12monkeys").find("is not a number"), std::string::npos);
}

TEST_F(GdbMonitor, FilesGoOutAndIn) {
  EXPECT_EQ(say("dump-memory " + file("text") + " 0x100000 4k"),
            "4096 bytes written to " + file("text") + "\n");
  EXPECT_EQ(fs::file_size(file("text")), 4096U);
  EXPECT_EQ(say("load " + file("text") + " phys:0x300000"), "4096 bytes loaded at phys:0x300000\n");
  EXPECT_EQ(session_->word(0x30'0020), 500U);
  EXPECT_EQ(say("search 0x300000 4k f401000000000000"), "0x300020\n1 found\n");
  // Across the chunks that a search reads.
  session_->set_word(0x3f'fffc, 0x8877'6655'4433'2211);
  EXPECT_EQ(say("search 0x300000 2m 1122334455667788"), "0x3ffffc\n1 found\n");
  EXPECT_NE(say("load /nonexistent/file 0x300000").find("error: "), std::string::npos);
  EXPECT_NE(say("dump-memory " + file("x")).find("usage: "), std::string::npos);
}

TEST_F(GdbMonitor, ACoreFileHoldsRamWithoutTrapsAndOpensInGdb) {
  ASSERT_TRUE(session_->insert(at::kWork));
  const std::string said = say("core " + file("core"));
  EXPECT_NE(said.find("64 MiB of RAM"), std::string::npos) << said;
  std::ifstream core(file("core"), std::ios::binary);
  Elf64_Ehdr header{};
  core.read(reinterpret_cast<char*>(&header), sizeof(header));
  EXPECT_EQ(std::memcmp(header.e_ident, ELFMAG, SELFMAG), 0);
  EXPECT_EQ(header.e_type, ET_CORE);
  // Where crash(8) looks for the notes: before the first byte of memory.
  std::array<Elf64_Phdr, 2> parts{};
  core.read(reinterpret_cast<char*>(parts.data()), sizeof(parts));
  EXPECT_EQ(parts[0].p_type, std::uint32_t{PT_NOTE});
  EXPECT_EQ(parts[1].p_type, std::uint32_t{PT_LOAD});
  EXPECT_LE(parts[0].p_offset + parts[0].p_filesz, parts[1].p_offset);
  EXPECT_GE(fs::file_size(file("core")), parts[1].p_offset + parts[1].p_filesz);
  if (!fs::exists("/usr/bin/gdb")) GTEST_SKIP() << "gdb is not installed; the file's header was checked only";
  const auto result = test::run_process({"/usr/bin/gdb", "-batch", "-nx", "-ex", "core-file " + file("core"),
                                         "-ex", "x/1gx 0x100020", "-ex", "info threads", "-ex", "p/x $rip"});
  EXPECT_NE(result.out.find("0x00000000000001f4"), std::string::npos) << result.out << result.err;
  EXPECT_NE(result.out.find("0x100000"), std::string::npos) << result.out << result.err;
}

TEST_F(GdbMonitor, Cr3CanBeFixedAndFreed) {
  EXPECT_NE(say("cr3").find("each vCPU's own"), std::string::npos);
  EXPECT_NE(say("cr3 0x700000").find("0x700000"), std::string::npos);
  EXPECT_NE(say("gva2gpa 0x100020").find("error: "), std::string::npos) << "tables of zeros map nothing";
  EXPECT_NE(say("cr3 vcpu 0").find("the tables at cr3"), std::string::npos);
  EXPECT_NE(say("gva2gpa 0x100020").find("gpa: 0x100020"), std::string::npos);
  EXPECT_NE(say("cr3 auto").find("each vCPU's own"), std::string::npos);
  EXPECT_NE(say("cr3 vcpu 7").find("error: "), std::string::npos);
  EXPECT_NE(say("poke-shared on").find("done"), std::string::npos);
  EXPECT_NE(say("poke-shared off").find("refused"), std::string::npos);
}

}  // namespace gdb_monitor_test
}  // namespace vmm
