#include "vmm/gdb/target_xml.h"

#include <array>
#include <span>
#include <string_view>

namespace vmm::gdb {
namespace {

struct Flag {
  const char* name;
  int bit;
};
struct FlagsType {
  std::string_view id;
  int bytes;
  std::span<const Flag> flags;
};

// Names and bits of gdb's own description (i386.core, i386.sse), then of the SDM (vol. 3, 2.5).
constexpr std::array kEflags = {
    Flag{"", 1},    Flag{"CF", 0},  Flag{"PF", 2},   Flag{"AF", 4},   Flag{"ZF", 6},  Flag{"SF", 7},
    Flag{"TF", 8},  Flag{"IF", 9},  Flag{"DF", 10},  Flag{"OF", 11},  Flag{"NT", 14}, Flag{"RF", 16},
    Flag{"VM", 17}, Flag{"AC", 18}, Flag{"VIF", 19}, Flag{"VIP", 20}, Flag{"ID", 21},
};
constexpr std::array kMxcsr = {
    Flag{"IE", 0},  Flag{"DE", 1},  Flag{"ZE", 2},  Flag{"OE", 3},  Flag{"UE", 4},
    Flag{"PE", 5},  Flag{"DAZ", 6}, Flag{"IM", 7},  Flag{"DM", 8},  Flag{"ZM", 9},
    Flag{"OM", 10}, Flag{"UM", 11}, Flag{"PM", 12}, Flag{"FZ", 15},
};
constexpr std::array kCr0 = {
    Flag{"PE", 0},  Flag{"MP", 1},  Flag{"EM", 2},  Flag{"TS", 3},  Flag{"ET", 4},  Flag{"NE", 5},
    Flag{"WP", 16}, Flag{"AM", 18}, Flag{"NW", 29}, Flag{"CD", 30}, Flag{"PG", 31},
};
constexpr std::array kCr4 = {
    Flag{"VME", 0},         Flag{"PVI", 1},    Flag{"TSD", 2},      Flag{"DE", 3},    Flag{"PSE", 4},
    Flag{"PAE", 5},         Flag{"MCE", 6},    Flag{"PGE", 7},      Flag{"PCE", 8},   Flag{"OSFXSR", 9},
    Flag{"OSXMMEXCPT", 10}, Flag{"UMIP", 11},  Flag{"LA57", 12},    Flag{"VMXE", 13}, Flag{"SMXE", 14},
    Flag{"FSGSBASE", 16},   Flag{"PCIDE", 17}, Flag{"OSXSAVE", 18}, Flag{"SMEP", 20}, Flag{"SMAP", 21},
    Flag{"PKE", 22},        Flag{"CET", 23},   Flag{"PKS", 24},
};
constexpr std::array kEfer = {
    Flag{"SCE", 0}, Flag{"LME", 8}, Flag{"LMA", 10}, Flag{"NXE", 11}, Flag{"SVME", 12}, Flag{"FFXSR", 14},
};

std::string flags_xml(const FlagsType& type) {
  std::string xml = "<flags id=\"" + std::string(type.id) + "\" size=\"" + std::to_string(type.bytes) + "\">";
  for (const Flag& flag : type.flags) {
    const std::string bit = std::to_string(flag.bit);
    xml += "<field name=\"" + std::string(flag.name) + "\" start=\"" + bit + "\" end=\"" + bit + "\"/>";
  }
  return xml + "</flags>\n";
}

constexpr std::string_view kVec128 =
    R"(<vector id="v4f" type="ieee_single" count="4"/>
<vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/>
<vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/>
<vector id="v2i64" type="int64" count="2"/>
<union id="vec128"><field name="v4_float" type="v4f"/>)"
    R"(<field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/>)"
    R"(<field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/>)"
    R"(<field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>
)";

/// What a feature's registers need declared before them.
std::string types_of(std::string_view feature) {
  if (feature == "org.gnu.gdb.i386.core") return flags_xml({"i386_eflags", 4, kEflags});
  if (feature == "org.gnu.gdb.i386.sse") return std::string(kVec128) + flags_xml({"i386_mxcsr", 4, kMxcsr});
  if (feature == "org.gnu.gdb.i386.avx512") {
    return std::string(kVec128) + "<vector id=\"v2ui128\" type=\"uint128\" count=\"2\"/>\n";
  }
  if (feature == "org.uvmm.x86.system") {
    return flags_xml({"x86_cr0", 8, kCr0}) + flags_xml({"x86_cr4", 8, kCr4}) +
           flags_xml({"x86_efer", 8, kEfer});
  }
  return {};
}

std::string register_xml(const RegisterSpec& spec) {
  std::string xml = "<reg name=\"" + spec.name + "\" bitsize=\"" + std::to_string(spec.bits) + "\" type=\"" +
                    std::string(spec.type) + "\" regnum=\"" + std::to_string(spec.number) + "\"";
  if (!spec.group.empty()) xml += " group=\"" + std::string(spec.group) + "\"";
  return xml + "/>\n";
}

}  // namespace

std::string target_xml(const RegisterMap& map) {
  std::string xml =
      "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n"
      "<architecture>i386:x86-64</architecture>\n";
  std::string_view open;
  for (const RegisterSpec& spec : map.all()) {
    if (spec.feature != open) {
      if (!open.empty()) xml += "</feature>\n";
      open = spec.feature;
      xml += "<feature name=\"" + std::string(open) + "\">\n" + types_of(open);
    }
    xml += register_xml(spec);
  }
  return xml + "</feature>\n</target>\n";
}

}  // namespace vmm::gdb
