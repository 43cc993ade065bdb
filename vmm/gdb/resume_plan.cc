#include "vmm/gdb/resume_plan.h"

#include <algorithm>
#include <optional>

namespace vmm::gdb {
namespace {

uvm::Error invalid(std::string what) {
  return {uvm::ErrorKind::Invalid, std::move(what)};
}

struct Rule {
  ThreadSelector who;
  std::optional<ThreadAction> what;  // nothing: stays. Its thread is filled in later
};

uvm::Result<std::optional<ThreadAction>> scan_action(Scanner& scanner) {
  ThreadAction action;
  if (scanner.take('t')) return std::optional<ThreadAction>();
  if (scanner.take('c')) return std::optional(action);
  if (scanner.take('C')) {
    if (!scanner.number()) return invalid("C wants a signal");
    return std::optional(action);
  }
  action.kind = ThreadAction::Kind::Step;
  if (scanner.take('s')) return std::optional(action);
  if (scanner.take('S')) {
    if (!scanner.number()) return invalid("S wants a signal");
    return std::optional(action);
  }
  if (!scanner.take('r')) return invalid("vCont has an action that was not offered");
  action.kind = ThreadAction::Kind::RangeStep;
  const auto begin = scanner.number();
  if (!begin || !scanner.take(',')) return invalid("r wants begin,end");
  const auto end = scanner.number();
  if (!end) return invalid("r wants begin,end");
  action.begin = *begin;
  action.end = *end;
  return std::optional(action);
}

uvm::Result<std::vector<Rule>> scan_rules(std::string_view text) {
  constexpr std::size_t kMostRules = 1024;
  Scanner all(text);
  if (!all.take(';')) return invalid("vCont wants actions");
  std::vector<Rule> rules;
  while (!all.at_end()) {
    if (rules.size() == kMostRules) return invalid("vCont has too many actions");
    Scanner scanner(all.until(';'));
    Rule rule;
    UVMM_TRY(rule.what, scan_action(scanner));
    if (scanner.take(':')) {
      const auto who = scan_thread(scanner);
      if (!who) return invalid("vCont names no thread behind ':'");
      rule.who = *who;
    }
    if (!scanner.at_end()) return invalid("vCont has something behind an action");
    rules.push_back(std::move(rule));
  }
  return rules;
}

uvm::Result<std::vector<ThreadAction>> not_empty(std::vector<ThreadAction> actions) {
  if (actions.empty()) return invalid("no thread would run");
  return actions;
}

}  // namespace

uvm::Result<std::vector<ThreadAction>> plan_resume(std::string_view actions,
                                                   std::span<const ThreadInfo> threads) {
  UVMM_TRY(const auto rules, scan_rules(actions));
  std::vector<ThreadAction> plan;
  for (const ThreadInfo& thread : threads) {
    const auto rule =
        std::ranges::find_if(rules, [&thread](const Rule& each) { return each.who.matches(thread.id); });
    if (rule == rules.end() || !rule->what) continue;
    ThreadAction action = *rule->what;
    action.thread = thread.id;
    plan.push_back(action);
  }
  return not_empty(std::move(plan));
}

uvm::Result<std::vector<ThreadAction>> plan_old_resume(std::string_view packet,
                                                       std::span<const ThreadInfo> threads,
                                                       const ThreadSelector& resumed, ThreadId current) {
  Scanner scanner(packet);
  UVMM_TRY(const auto asked, scan_action(scanner));
  if (!asked || !scanner.at_end()) {
    return invalid("c and s take no address here: set rip first");
  }
  std::vector<ThreadAction> plan;
  for (const ThreadInfo& thread : threads) {
    if (!resumed.matches(thread.id)) continue;
    ThreadAction action = *asked;
    const bool steps = resumed.names_one() || thread.id == current;
    if (!steps) action.kind = ThreadAction::Kind::Continue;
    action.thread = thread.id;
    plan.push_back(action);
  }
  return not_empty(std::move(plan));
}

}  // namespace vmm::gdb
