#include "vmm/cli/run_flags.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <utility>

#include "vmm/config/confinement_words.h"
#include "vmm/config/device_flags.h"
#include "vmm/config/values.h"

namespace vmm::cli {
namespace {

using namespace config;

constexpr const char* kBoot = "What to boot";
constexpr const char* kMachineGroup = "The machine";
constexpr const char* kOvercommit = "Less host memory than the guest has";
constexpr const char* kConsoleGroup = "Console, memory map and log";
constexpr const char* kDebugger = "Debugger";
constexpr const char* kVirtio = "Disks, network and other virtio devices";
constexpr const char* kDevices = "Devices in other processes";
constexpr const char* kControl = "Forks, snapshots and checkpoints";
constexpr const char* kHost = "Devices of the host";
constexpr const char* kConfine = "Confinement of this process";
constexpr const char* kConfig = "Configuration";

template <auto field>
uvm::Status set_text(std::string_view value, MachineConfig& config) {
  config.*field = value;
  return uvm::ok();
}

template <auto field, auto parse>
uvm::Status set_parsed(std::string_view value, MachineConfig& config) {
  UVMM_TRY(config.*field, parse(value));
  return uvm::ok();
}

/// The same in a section of the configuration.
template <auto section, auto field>
uvm::Status set_text_in(std::string_view value, MachineConfig& config) {
  (config.*section).*field = value;
  return uvm::ok();
}

template <auto section, auto field, auto parse>
uvm::Status set_parsed_in(std::string_view value, MachineConfig& config) {
  UVMM_TRY((config.*section).*field, parse(value));
  return uvm::ok();
}

uvm::Status set_compress(std::string_view /*nothing*/, MachineConfig& config) {
  config.overcommit.compress = true;
  return uvm::ok();
}

template <auto field, auto value>
uvm::Status set_constant(std::string_view /*nothing*/, MachineConfig& config) {
  config.*field = value;
  return uvm::ok();
}

uvm::Status set_gdb(std::string_view value, MachineConfig& config) {
  UVMM_TRY(config.gdb.listen, gdb::parse_listen_address(value));
  return uvm::ok();
}

uvm::Status set_usual_gdb(std::string_view /*nothing*/, MachineConfig& config) {
  return set_gdb(gdb::kUsualAddress, config);
}

uvm::Status set_wait(std::string_view /*nothing*/, MachineConfig& config) {
  config.gdb.at_start = gdb::AtStart::Wait;
  return uvm::ok();
}

uvm::Status add_vhost_user_block(std::string_view value, MachineConfig& config) {
  config.vhost_user.push_back({vhost_user::Kind::Block, std::string(value), {}});
  return uvm::ok();
}

uvm::Status add_vhost_user_fs(std::string_view value, MachineConfig& config) {
  UVMM_TRY(auto device, parse_vhost_user_fs(value));
  config.vhost_user.push_back(std::move(device));
  return uvm::ok();
}

uvm::Status add_network(std::string_view value, MachineConfig& config) {
  UVMM_TRY(auto network, parse_network(value));
  if (network.id.empty()) network.id = "net" + std::to_string(config.networks.size());
  config.networks.push_back(std::move(network));
  return uvm::ok();
}

uvm::Status set_balloon(std::string_view value, MachineConfig& config) {
  UVMM_TRY(config.balloon, parse_balloon(value));
  return uvm::ok();
}

uvm::Status add_pmem(std::string_view value, MachineConfig& config) {
  UVMM_TRY(auto image, parse_pmem(value));
  if (image.id.empty()) image.id = "pmem" + std::to_string(config.pmem.size());
  config.pmem.push_back(std::move(image));
  return uvm::ok();
}

uvm::Status set_vsock(std::string_view value, MachineConfig& config) {
  UVMM_TRY(config.vsock, parse_vsock(value));
  return uvm::ok();
}

uvm::Status set_restore(std::string_view value, MachineConfig& config) {
  if (value.empty()) {
    return uvm::Error(uvm::ErrorKind::Invalid, "the snapshot's directory is empty",
                      "name one, or leave it out");
  }
  config.restore = value;
  config.control.at_start = control::AtStart::Paused;
  return uvm::ok();
}

uvm::Status set_resume(std::string_view /*nothing*/, MachineConfig& config) {
  config.control.at_start = control::AtStart::Run;
  return uvm::ok();
}

uvm::Status add_vfio(std::string_view value, MachineConfig& config) {
  UVMM_TRY(auto device, vfio::parse_device(value));
  config.vfio.push_back(std::move(device));
  return uvm::ok();
}

/// One without an id is called as the guest calls it, if no other disk has that name.
uvm::Status add_disk(std::string_view value, MachineConfig& config) {
  UVMM_TRY(auto disk, virtio::blk::parse_disk(value));
  const auto is_taken = [&](const std::string& id) {
    return std::ranges::find(config.drives, id, &virtio::blk::Options::id) != config.drives.end();
  };
  if (disk.id.empty()) {
    std::size_t at = config.drives.size();
    for (std::size_t i = 0; i < virtio::blk::kMostDisks && is_taken(virtio::blk::usual_id(at)); ++i) ++at;
    disk.id = virtio::blk::usual_id(at);
  }
  config.drives.push_back(std::move(disk));
  return uvm::ok();
}

using Boot = BootSource;
using Control = control::Options;
using Config = MachineConfig;
using Swap = Overcommit;
using Gdb = gdb::Options;
using Pins = pins::Options;

constexpr std::array kFlags = {
    RunFlag{"-k,--kernel", "--kernel", kBoot, "FILE",
            "kernel: bzImage, ELF vmlinux, PVH, multiboot, or a flat image",
            set_text_in<&Config::boot, &Boot::kernel>},
    RunFlag{"-i,--initrd,--initramfs", "--initrd", kBoot, "FILE", "initial RAM disk (default: none)",
            set_text_in<&Config::boot, &Boot::initrd>},
    RunFlag{"-p,--cmdline,--append,--params", "--cmdline", kBoot, "TEXT",
            "kernel command line (default: empty; nothing is added,\na Linux kernel wants console=ttyS0)",
            set_text_in<&Config::boot, &Boot::cmdline>},
    RunFlag{"--kernel-format", "--kernel-format", kBoot, "FORMAT",
            "auto, bzimage, elf64, pvh, multiboot, flat-real or flat-long\n(default: auto, by the file's "
            "contents)",
            set_parsed_in<&Config::boot, &Boot::format, parse_kernel_format>},
    RunFlag{"--load-address", "--load-address", kBoot, "GPA",
            "where a flat image goes, in bytes or 0x… (default: its\nformat's own place)",
            set_parsed_in<&Config::boot, &Boot::load_address, parse_address>},
    RunFlag{"--builtin", "--builtin", kBoot, "NAME",
            "a built-in guest instead of a kernel; `list` shows them",
            set_text_in<&Config::boot, &Boot::builtin>},
    RunFlag{"--builtin-args", "--builtin-args", kBoot, "TEXT", "its arguments, as in \"passes=2 page=2m\"",
            set_text_in<&Config::boot, &Boot::builtin_arguments>},

    RunFlag{"-m,--memory,--mem", "--memory", kMachineGroup, "SIZE",
            "RAM, with K, M, G or T; MiB without (default: 256M)", set_parsed<&Config::memory, parse_size>},
    RunFlag{"-c,--cpus,--smp", "--cpus", kMachineGroup, "N", "vCPUs, 1 to 16 (default: 1)",
            set_parsed<&Config::vcpus, parse_vcpus>},
    RunFlag{"--memory-backing", "--memory-backing", kMachineGroup, "MODE",
            "auto, anonymous or shared (default: auto, shared where the\nhost gives it huge pages)",
            set_parsed<&Config::backing, parse_backing>},
    RunFlag{"--huge-pages", "--huge-pages", kMachineGroup, "MODE",
            "auto or never: ask the host for 2 MiB pages (default: auto)",
            set_parsed<&Config::huge_pages, parse_huge_pages>},
    RunFlag{"--irqchip", "--irqchip", kMachineGroup, "MODE",
            "auto, split or full: which interrupt controllers KVM\nemulates (default: auto)",
            set_parsed<&Config::irqchip, parse_irqchip>},
    RunFlag{"--debug-exit", "--debug-exit", kMachineGroup, "MODE",
            "what a guest's write of V to port 0xf4 makes of the exit\nstatus: qemu (V*2+1) or plain (V); "
            "auto is plain for\nbuilt-in guests "
            "(default: auto)",
            set_parsed<&Config::debug_exit, parse_debug_exit>},
    RunFlag{"--name,--id", "--name", kMachineGroup, "NAME",
            "a name for messages and the memory map (default: uvmm)", set_text<&Config::name>},

    RunFlag{
        "--memory-limit", "--memory-limit", kOvercommit, "SIZE",
        "the most RAM of the guest that is in memory at once; what is\nmore goes to swap (default: no limit)",
        set_parsed_in<&Config::overcommit, &Swap::limit, parse_size>},
    RunFlag{"--swap", "--swap", kOvercommit, "PATH",
            "a directory for a file that nobody else sees, or a file of\nits own (default: /var/tmp)",
            set_text_in<&Config::overcommit, &Swap::swap>},
    RunFlag{"--swap-size", "--swap-size", kOvercommit, "SIZE",
            "the most that goes to swap (default: as much as the RAM)",
            set_parsed_in<&Config::overcommit, &Swap::swap_size, parse_size>},
    RunFlag{"--swap-compress", "--swap-compress", kOvercommit, "", "compress it with zstd", set_compress},
    RunFlag{"--swap-error", "--swap-error", kOvercommit, "MODE",
            "pause or stop: what a guest does whose swap fails; a paused\none goes on when it works again "
            "(default: pause)",
            set_parsed_in<&Config::overcommit, &Swap::on_error, parse_swap_error>},

    RunFlag{"--console", "--console", kConsoleGroup, "WHERE",
            "what this terminal is to the guest: stdio, the first serial\nport; virtio, hvc0 (say "
            "console=hvc0); or "
            "none (default: stdio)",
            set_parsed<&Config::console, parse_console>},
    RunFlag{"--nographic", "--nographic", kConsoleGroup, "", "the same as --console stdio",
            set_constant<&Config::console, ConsoleMode::Stdio>},
    RunFlag{"--show-map", "--show-map", kConsoleGroup, "",
            "print the guest's memory map when it ends (default: only on\nSIGUSR1)",
            set_constant<&Config::show_map, ShowMap::AtExit>},
    RunFlag{"--log-level,--level", "--log-level", kConsoleGroup, "LEVEL",
            "trace, debug, info, warning, error, critical or off\n(default: warning)",
            set_parsed<&Config::log_level, parse_log_level>},
    RunFlag{"--log-file,--log-path", "--log-file", kConsoleGroup, "FILE",
            "append the log to FILE (default: stderr)", set_text<&Config::log_file>},

    RunFlag{"--gdb", "--gdb", kDebugger, "WHERE",
            "let gdb or lldb in at tcp:PORT (loopback),\ntcp:ADDRESS:PORT or unix:PATH (default: not at all)",
            set_gdb},
    RunFlag{"-s", "-s", kDebugger, "", "the same as --gdb tcp:127.0.0.1:1234", set_usual_gdb},
    RunFlag{"-S", "-S", kDebugger, "", "don't run before a debugger says so", set_wait},
    RunFlag{"--gdb-on-kill", "--gdb-on-kill", kDebugger, "MODE",
            "what a debugger's kill does to the guest: detach or kill;\nlldb kills at each session's end "
            "(default: detach)",
            set_parsed_in<&Config::gdb, &Gdb::on_kill, parse_on_kill>},
    RunFlag{"--gdb-on-disconnect", "--gdb-on-disconnect", kDebugger, "MODE",
            "when a debugger's connection breaks: resume, stay (stopped for\nthe next one) or kill (default: "
            "resume)",
            set_parsed_in<&Config::gdb, &Gdb::on_disconnect, parse_on_disconnect>},

    RunFlag{"-d,--disk,--drive", "--disk", kVirtio, "FILE",
            "a disk: a raw image or a block device; may be repeated. With\n,ro: only read; ,id=NAME; "
            ",serial=TEXT; "
            ",queues=N;\n,flush=ignored: nobody will miss it; ,fork=copy: a fork or\ncheckpoint gets a copy "
            "where "
            "it can't have a reflink",
            add_disk, Repeat::All},
    RunFlag{"--rng", "--rng", kVirtio, "", "a source of random numbers for the guest",
            set_constant<&Config::entropy, Entropy::Device>},
    RunFlag{"--net,--nic", "--net", kVirtio, "LINK",
            "a network interface: tap=NAME of the host, or passt[=SOCKET],\nwhich needs no rights; then "
            ",mac=02:… and ,id=NAME where\nwanted; may be repeated",
            add_network, Repeat::All},
    RunFlag{"--vsock", "--vsock", kVirtio, "CID,SOCKET",
            "sockets between guest and host: the guest's address, and a\nunix socket to be made here, as "
            "Firecracker has it",
            set_vsock},
    RunFlag{"--virtio-transport", "--virtio-transport", kVirtio, "HOW",
            "pci or mmio: where the guest's kernel finds these devices;\nmmio is for those without PCI, "
            "which get "
            "them on their command\nline (default: pci)",
            set_parsed<&Config::virtio_transport, parse_virtio_transport>},
    RunFlag{
        "--balloon", "--balloon", kVirtio, "SIZE",
        "memory that the guest gives back, at first; see `uvmm balloon`.\nThen ,deflate-on-oom (it may take "
        "it again before it kills),\n,reporting (what is free costs nothing) and ,stats=SECONDS",
        set_balloon},
    RunFlag{
        "--pmem", "--pmem", kVirtio, "FILE",
        "an image that the guest sees as memory it can only read,\nshared with all who use the file; then "
        ",id=NAME where\nwanted; may be repeated",
        add_pmem, Repeat::All},

    RunFlag{"--pin-socket", "--pin-socket", kDevices, "PATH",
            "a unix socket where device processes pin guest memory and\nmap it; see uvmm-pin (default: none)",
            set_text_in<&Config::pins, &Pins::socket>},
    RunFlag{"--pin-limit", "--pin-limit", kDevices, "SIZE", "what each of them may pin (default: all RAM)",
            set_parsed_in<&Config::pins, &Pins::limit, parse_size>},
    RunFlag{"--pin-irq", "--pin-irq", kDevices, "N",
            "the interrupt, 5 to 7, that their bells raise (default: they\nget no bells)",
            set_parsed_in<&Config::pins, &Pins::irq, parse_pin_irq>},
    RunFlag{"--vhost-user-blk", "--vhost-user-blk", kDevices, "SOCKET",
            "a virtio disk that the process listening at SOCKET serves,\nas qemu-storage-daemon does; may be "
            "repeated",
            add_vhost_user_block, Repeat::All},
    RunFlag{"--vhost-user-fs", "--vhost-user-fs", kDevices, "SOCKET,tag=TAG",
            "a virtio file system by that name, as virtiofsd serves it;\nmay be repeated", add_vhost_user_fs,
            Repeat::All},

    RunFlag{"--restore", "--restore", kControl, "DIR",
            "go on from a snapshot instead of booting; the machine waits\nfor `uvmm resume`, unless --resume "
            "is given",
            set_restore},
    RunFlag{"--resume", "--resume", kControl, "", "let a restored machine run at once", set_resume},
    RunFlag{
        "--clock", "--clock", kControl, "POLICY",
        "continue or host: a restored guest's clocks go on from where\nthey were, or have gone on with the "
        "host's (default: continue)",
        set_parsed<&Config::clock, parse_clock>},
    RunFlag{"--control", "--control", kControl, "PATH",
            "the machine's control socket, or none (default:\nNAME-PID.sock in $XDG_RUNTIME_DIR/uvmm)",
            set_text_in<&Config::control, &Control::socket>},
    RunFlag{
        "--api-socket,--api-sock", "--api-socket", kControl, "PATH",
        "a unix socket for Firecracker's API and uvmm's own requests;\nwithout a kernel the machine waits "
        "there for InstanceStart\n(default: none)",
        set_text<&Config::api_socket>},
    RunFlag{"--max-children", "--max-children", kControl, "N",
            "the most forks of the machine, forks of those included, that\nrun at once (default: 64)",
            set_parsed_in<&Config::control, &Control::max_children, parse_max_children>},
    RunFlag{
        "--ready-copies", "--ready-copies", kControl, "N",
        "forks that debuggers and the API ask for begin sooner: so many\nprocesses are kept ready for them "
        "(default: 0)",
        set_parsed_in<&Config::control, &Control::ready_copies, parse_ready_copies>},

    RunFlag{
        "--vfio", "--vfio", kHost, "DEVICE",
        "a PCI device that vfio-pci has, for the guest alone:\npci:0000:3b:00.0, or /dev/vfio/GROUP; may be "
        "repeated. With\n,fork=MODE: refuse, quiesce or copy, what a fork of the guest\ndoes (default: "
        "refuse)",
        add_vfio, Repeat::All},

    RunFlag{"--seccomp", "--seccomp", kConfine, "MODE",
            "on, log or off: end the machine at a system call that it has\nno use for, or let it pass and "
            "tell the "
            "kernel's log\n(dmesg, journalctl -k: type=1326) (default: on)",
            set_seccomp},
    RunFlag{
        "--landlock", "--landlock", kConfine, "MODE",
        "on or off: open no files but those that a running machine\nneeds, where the kernel can see to it "
        "(default: on)",
        set_landlock},
    RunFlag{"--allow-path", "--allow-path", kConfine, "PATH",
            "a file, or a folder with all below it, that Landlock leaves\nopen too, as for a debugger's "
            "dumps; may "
            "be repeated",
            add_allowed_path, Repeat::All},
    RunFlag{"--uid", "--uid", kConfine, "N",
            "become user N, with --gid, once all is open (default: stay\nwho starts it)", set_uid},
    RunFlag{"--gid", "--gid", kConfine, "N", "become group N, and leave all others", set_gid},
    RunFlag{"--netns", "--netns", kConfine, "PATH",
            "move into this network namespace first, as /run/netns/NAME", set_netns},
    RunFlag{"--cgroup", "--cgroup", kConfine, "PATH",
            "move into this cgroup (v2) first, made if it is not there;\nrelative to /sys/fs/cgroup",
            set_cgroup},
    RunFlag{"--memory-max", "--memory-max", kConfine, "SIZE",
            "that cgroup's memory.max: more than this, and the kernel\nkills", set_memory_max},
    RunFlag{"--pids-max", "--pids-max", kConfine, "N", "that cgroup's pids.max, which counts threads",
            set_pids_max},

    RunFlag{"--config,--config-file", "--config", kConfig, "FILE",
            "a configuration in JSON, with Firecracker's keys; options\noverride it (paths in it: from the "
            "current directory)",
            nullptr},
    RunFlag{"--dry-run", "--dry-run", kConfig, "", "print the effective configuration as --config takes it",
            nullptr},
};

}  // namespace

std::span<const RunFlag> run_flags() {
  return kFlags;
}

std::span<const RunFlag> overcommit_flags() {
  const auto is_one = [](const RunFlag& flag) { return flag.group == kOvercommit; };
  const auto begin = std::find_if(std::begin(kFlags), std::end(kFlags), is_one);
  return {begin, std::find_if_not(begin, std::end(kFlags), is_one)};
}

}  // namespace vmm::cli
