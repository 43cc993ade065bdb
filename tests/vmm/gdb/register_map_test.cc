#include "vmm/gdb/register_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/vmm/gdb/conversation.h"
#include "vmm/gdb/hex.h"
#include "vmm/gdb/target_xml.h"

namespace register_map_test {

using test::Conversation;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using vmm::gdb::Gpr;
using vmm::gdb::RegisterFile;
using vmm::gdb::RegisterGroups;
using vmm::gdb::RegisterMap;
using vmm::gdb::RegisterSpec;
using vmm::gdb::Segment;
using vmm::gdb::XsaveLayout;

/// Offsets of a processor with AVX-512 and protection keys, as CPUID gives them.
constexpr XsaveLayout kEverything{576, 1088, 1152, 1664, 2688};

const RegisterSpec& named(const RegisterMap& map, std::string_view name) {
  for (const RegisterSpec& each : map.all())
    if (each.name == name) return each;
  ADD_FAILURE() << "no register is called " << name;
  return map.all().front();
}

std::vector<std::byte> value_of(const RegisterMap& map, std::string_view name, const RegisterFile& file) {
  std::vector<std::byte> bytes;
  append_register(bytes, named(map, name), file);
  return bytes;
}

std::string digits_of(const RegisterMap& map, std::string_view name, const RegisterFile& file) {
  std::string digits;
  vmm::gdb::append_hex(digits, value_of(map, name, file));
  return digits;
}

uvm::Status set(const RegisterMap& map, std::string_view name, std::string_view digits, RegisterFile& file) {
  return set_register(named(map, name), vmm::gdb::bytes_of_hex(digits).value(), file);
}

RegisterFile file_with_area() {
  RegisterFile file;
  file.xsave.resize(1024);
  return file;
}

void poke(RegisterFile& file, std::size_t offset, std::string_view digits) {
  const auto bytes = vmm::gdb::bytes_of_hex(digits).value();
  std::memcpy(reinterpret_cast<std::byte*>(file.xsave.data()) + offset, bytes.data(), bytes.size());
}

std::uint64_t xstate_bv(const RegisterFile& file) {
  std::uint64_t word = 0;
  std::memcpy(&word, reinterpret_cast<const std::byte*>(file.xsave.data()) + 512, sizeof word);
  return word;
}

TEST(RegisterMap, NumbersCoreAsGdbDoes) {
  const RegisterMap map(XsaveLayout{});
  const std::map<std::string, unsigned> numbers = {
      {"rax", 0},    {"rbx", 1},       {"rcx", 2},      {"rdx", 3},     {"rsi", 4},   {"rdi", 5},
      {"rbp", 6},    {"rsp", 7},       {"r8", 8},       {"r15", 15},    {"rip", 16},  {"eflags", 17},
      {"cs", 18},    {"ss", 19},       {"ds", 20},      {"es", 21},     {"fs", 22},   {"gs", 23},
      {"st0", 24},   {"st7", 31},      {"fctrl", 32},   {"fstat", 33},  {"ftag", 34}, {"fiseg", 35},
      {"fioff", 36}, {"foseg", 37},    {"fooff", 38},   {"fop", 39},    {"xmm0", 40}, {"xmm15", 55},
      {"mxcsr", 56}, {"orig_rax", 57}, {"fs_base", 58}, {"gs_base", 59}};
  for (const auto& [name, number] : numbers) EXPECT_EQ(named(map, name).number, number) << name;
}

TEST(RegisterMap, HasNoHolesInWhatGCarriesAndNoNameTwice) {
  for (const XsaveLayout& layout : {XsaveLayout{}, XsaveLayout{576, 0, 0, 0, 0}, kEverything}) {
    const RegisterMap map(layout);
    std::set<std::string> names;
    unsigned next = 0;
    for (const RegisterSpec& each : map.all()) {
      EXPECT_TRUE(names.insert(each.name).second) << each.name;
      EXPECT_EQ(map.find(each.number), &each);
      EXPECT_EQ(each.bits % 8, 0);
    }
    for (const RegisterSpec& each : map.general()) EXPECT_EQ(each.number, next++) << each.name;
    EXPECT_EQ(map.find(next), nullptr);
    EXPECT_EQ(map.find(~std::uint64_t{0}), nullptr);
    EXPECT_FALSE(contains(map.general_groups(), RegisterGroups::Debug));
  }
}

TEST(RegisterMap, HasTheSystemRegistersThatScriptsLookFor) {
  const RegisterMap map(XsaveLayout{});
  for (const char* name :
       {"ss_base", "ds_base", "es_base", "cs_base", "k_gs_base", "cr0", "cr2", "cr3", "cr4", "cr8", "efer",
        "gdtr_base", "idtr_limit", "tr", "ldtr", "dr0", "dr7", "lstar", "pat"})
    EXPECT_EQ(named(map, name).name, name);
}

TEST(RegisterMap, HasVectorsAsTheGuestHasThem) {
  const std::string plain = target_xml(RegisterMap(XsaveLayout{}));
  EXPECT_THAT(plain, Not(HasSubstr("i386.avx")));
  EXPECT_THAT(plain, Not(HasSubstr("pkru")));
  const std::string avx = target_xml(RegisterMap(XsaveLayout{576, 0, 0, 0, 0}));
  EXPECT_THAT(avx, HasSubstr("org.gnu.gdb.i386.avx\""));
  EXPECT_THAT(avx, Not(HasSubstr("avx512")));
  const std::string all = target_xml(RegisterMap(kEverything));
  for (const char* part : {"org.gnu.gdb.i386.avx512", "\"zmm31h\"", "\"k7\"", "\"ymm31h\"", "\"pkru\""})
    EXPECT_THAT(all, HasSubstr(part));
}

TEST(RegisterValue, ReadsEachSource) {
  const RegisterMap map(kEverything);
  RegisterFile file = file_with_area();
  file[Gpr::Rbp] = 0x1122334455667788;
  file.rip = 0xffffffff81000000;
  file.rflags = 0xffffffff00000246;
  file[Segment::Cs] = {0x10, 0xff0000};
  file[Segment::Tr] = {0x40, 0xfffffe0000003000};
  file.gdtr = {0xfffffe0000001000, 0x7f};
  file.dr[7] = 0x400;
  file[vmm::gdb::Msr::Lstar] = 0xffffffff82000080;
  poke(file, 160 + 16 * 3, "000102030405060708090a0b0c0d0e0f");
  poke(file, 576 + 16 * 3, "101112131415161718191a1b1c1d1e1f");
  poke(file, 1664 + 64 * 2, "a0a1a2a3");
  poke(file, 6, "ffff");
  EXPECT_EQ(digits_of(map, "rbp", file), "8877665544332211");
  EXPECT_EQ(digits_of(map, "eflags", file), "46020000");
  EXPECT_EQ(digits_of(map, "cs", file), "10000000");
  EXPECT_EQ(digits_of(map, "cs_base", file), "0000ff0000000000");
  EXPECT_EQ(digits_of(map, "tr", file), "40000000");
  EXPECT_EQ(digits_of(map, "gdtr_limit", file), "7f000000");
  EXPECT_EQ(digits_of(map, "dr7", file), "0004000000000000");
  EXPECT_EQ(digits_of(map, "lstar", file), "80000082ffffffff");
  EXPECT_EQ(digits_of(map, "orig_rax", file), "ffffffffffffffff");
  EXPECT_EQ(digits_of(map, "xmm3", file), "000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(digits_of(map, "ymm3h", file), "101112131415161718191a1b1c1d1e1f");
  EXPECT_THAT(digits_of(map, "xmm18", file), StartsWith("a0a1a2a300"));
  EXPECT_EQ(digits_of(map, "fop", file), "ff070000");
  EXPECT_EQ(digits_of(map, "xmm3", RegisterFile{}), std::string(32, '0'));  // no area at all
}

TEST(RegisterValue, ShowsTheTagWordInFull) {
  const RegisterMap map(XsaveLayout{});
  RegisterFile file = file_with_area();
  EXPECT_EQ(digits_of(map, "ftag", file), "ffff0000");  // all empty
  poke(file, 2, "0030");                                // top of stack: 6
  poke(file, 4, "c0");                                  // physical registers 6 and 7, which are st0 and st1
  poke(file, 32, "0000000000000080ff3f");               // st0 = 1.0: valid
  EXPECT_EQ(digits_of(map, "ftag", file), "ff4f0000");  // 6 valid (0), 7 zero (1)
  EXPECT_TRUE(set(map, "ftag", "ff0f0000", file));
  EXPECT_EQ(std::to_integer<int>(std::as_bytes(std::span(file.xsave))[4]), 0xc0);
  EXPECT_TRUE(set(map, "ftag", "ffff0000", file));
  EXPECT_EQ(std::to_integer<int>(std::as_bytes(std::span(file.xsave))[4]), 0);
}

TEST(RegisterValue, WritesGoBackWhereReadsComeFrom) {
  const RegisterMap map(kEverything);
  for (const RegisterSpec& spec : map.all()) {
    RegisterFile file = file_with_area();
    std::vector<std::byte> value(spec.bytes());
    value[0] = std::byte{0x05};
    const std::vector<std::byte> before = value_of(map, spec.name, file);
    ASSERT_TRUE(set_register(spec, value, file) || spec.name == "tr" || spec.name == "ldtr") << spec.name;
    const bool fixed = spec.name == "orig_rax" || spec.name == "tr" || spec.name == "ldtr";
    if (spec.name == "ftag") continue;  // has a test of its own
    EXPECT_EQ(value_of(map, spec.name, file), fixed ? before : value) << spec.name;
  }
}

TEST(RegisterValue, MarksAWrittenComponentAsInUse) {
  const RegisterMap map(kEverything);
  RegisterFile file = file_with_area();
  EXPECT_TRUE(set(map, "xmm1", std::string(32, '0'), file));
  EXPECT_EQ(xstate_bv(file), 0U);  // nothing has changed
  EXPECT_TRUE(set(map, "xmm1", std::string(32, '1'), file));
  EXPECT_EQ(xstate_bv(file), 2U);
  EXPECT_TRUE(set(map, "ymm1h", std::string(32, '1'), file));
  EXPECT_TRUE(set(map, "pkru", "01000000", file));
  EXPECT_TRUE(set(map, "st2", std::string(20, '1'), file));
  EXPECT_EQ(xstate_bv(file), 1U | 2U | 4U | 512U);
  RegisterFile without;
  EXPECT_FALSE(set(map, "xmm1", std::string(32, '1'), without));
}

TEST(RegisterValue, LoadsSelectorsOnlyWhereTheirBaseIsKnown) {
  const RegisterMap map(XsaveLayout{});
  RegisterFile file;
  EXPECT_TRUE(set(map, "cs", "34120000", file));  // real mode
  EXPECT_EQ(file[Segment::Cs].base, 0x12340U);
  file.cr0 = 1;
  EXPECT_TRUE(set(map, "cs", "34120000", file));  // the same again, as G does
  const auto refused = set(map, "cs", "10000000", file);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), uvm::ErrorKind::Unsupported);
  EXPECT_EQ(file[Segment::Cs].selector, 0x1234);
}

TEST(RegisterPackets, ReadAndWriteOneAndAll) {
  Conversation with;
  with.greet();
  with.target.registers(1)[Gpr::Rax] = 0x1234;
  with.target.registers(1)[Gpr::Rbx] = 0x5678;
  const std::string all = with.ask("g");
  const RegisterMap map(XsaveLayout{});
  EXPECT_EQ(all.size(), 2 * map.general_bytes());
  EXPECT_THAT(all, StartsWith("34120000000000007856000000000000"));
  EXPECT_EQ(with.ask("p1"), "7856000000000000");
  EXPECT_EQ(with.ask("P10=0010000000000000"), "OK");
  EXPECT_EQ(with.target.registers(1).rip, 0x1000U);
  EXPECT_EQ(with.ask("p100"), "0000000000000000");  // dr0
  EXPECT_EQ(with.ask("G" + std::string(16, 'a') + with.ask("g").substr(16)), "OK");
  EXPECT_EQ(with.target.registers(1)[Gpr::Rax], 0xaaaaaaaaaaaaaaaaU);
  EXPECT_EQ(with.target.registers(1).rip, 0x1000U);
  for (const char* wrong :
       {"p", "pffff", "p10x", "P10", "P10=00", "Pffff=00", "P10=zz10000000000000", "G00", "gx"})
    EXPECT_THAT(with.ask(wrong), StartsWith("E.malformed packet")) << wrong;
}

TEST(RegisterPackets, AValueThatIsNotKeptIsAnError) {
  Conversation with;
  with.greet();
  const RegisterMap map(XsaveLayout{});
  const auto number = [&map](std::string_view name) {
    for (const auto& spec : map.all())
      if (spec.name == name) return vmm::gdb::hex_number(spec.number);
    return std::string();
  };
  with.target.registers(1).cr4 = 0x20;
  with.target.ignore_writes();
  EXPECT_EQ(with.ask("P" + number("cr4") + "=a000000000000000"),
            "E.cr4 did not take the value: it is 0x0000000000000020 now; write what this processor can hold");
  EXPECT_THAT(with.ask("P" + number("lstar") + "=0100000000000000"), StartsWith("E.lstar did not take"));
  EXPECT_THAT(with.ask("G" + std::string(16, 'a') + with.ask("g").substr(16)), StartsWith("E.rax did not"));
  // What is there already has been taken.
  EXPECT_EQ(with.ask("P" + number("cr4") + "=2000000000000000"), "OK");
}

TEST(RegisterPackets, TheFlagThatIsAlwaysOneMayBeWrittenAsZero) {
  Conversation with;
  with.greet();
  with.target.registers(1).rflags = 2;
  with.target.ignore_writes();
  EXPECT_EQ(with.ask("P11=00000000"), "OK");
  EXPECT_THAT(with.ask("P11=01000000"), StartsWith("E.eflags did not"));
}

TEST(RegisterPackets, ACounterIsWrittenAloneAndOnlyWhenItIsMeant) {
  const RegisterMap map(XsaveLayout{});
  EXPECT_FALSE(contains(map.general_groups(), vmm::gdb::RegisterGroups::Counter));
  for (const auto& spec : map.all()) {
    EXPECT_EQ(spec.groups() == vmm::gdb::RegisterGroups::Counter, spec.name == "tsc") << spec.name;
  }
}

TEST(RegisterPackets, GThatChangesNothingWritesNothing) {
  Conversation with;
  with.greet();
  with.target.registers(1).cr0 = 0x80050033;
  EXPECT_EQ(with.ask("G" + with.ask("g")), "OK");
}

}  // namespace register_map_test
