// Count the value changes of every net and write them as SAIF 2.0: what Verilator's verilated_saif_c.h declares,
// implemented anew, for four reasons. Verilator's own (5.48) counts the first value of a net that is 1 as a change,
// starts its clock at the last dump of an earlier file, visits every bit of a net that changed one, and tells nets
// from their other names nowhere.
//
// The first dump after open is the reference, each further one is the settled state of one more clock period. In an
// INSTANCE, NET has every net that no scope further out has; PORT has other names of nets already listed.
// Times are picoseconds.

#include "verilated_saif_c.h"

#include "saif.h"
#include "verilated.h"
#include "verilatedos.h"

#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#define VL_SUB_T VerilatedSaif
#define VL_BUF_T VerilatedSaifBuffer
#include "verilated_trace_imp.h"
#undef VL_SUB_T
#undef VL_BUF_T

std::string saif_clock;

class VerilatedSaifActivityScope final {
public:
  std::string name;
  VerilatedSaifActivityScope* parent = nullptr;
  std::vector<std::unique_ptr<VerilatedSaifActivityScope>> children;
  std::vector<std::pair<uint32_t, std::string>> nets;  // code, name
};

// Of all signals, by Verilator's codes: a code is a net of up to 32 bits, or the first of a wider one.
class VerilatedSaifActivityAccumulator final {
public:
  struct Net {
    uint32_t bits = 0, first = 0;  // width, place of bit 0 in toggles and high
    bool clock = false, printed = false;
  };
  std::vector<Net> nets;
  std::vector<uint32_t> last;  // words of values, by code
  std::vector<uint64_t> toggles;
  std::vector<int64_t> high;  // time at 1: less the time of every rise, more that of every fall
  bool reference = true;
  int64_t begin = 0, end = 0;  // of the current sample's clock period

  void declare(uint32_t code, uint32_t bits, bool clock) {
    size_t words = code + (bits + 31) / 32;
    if (nets.size() < words) nets.resize(words), last.resize(words);
    if (nets[code].bits) return;
    nets[code] = {bits, uint32_t(toggles.size()), clock, false};
    toggles.resize(toggles.size() + bits), high.resize(high.size() + bits);
  }
  void change(uint32_t code, uint32_t word, uint32_t value) {
    uint32_t changed = last[code + word] ^ value;
    last[code + word] = value;
    if (reference) return;
    size_t base = nets[code].first + 32u * word;
    for (; changed; changed &= changed - 1) {
      uint32_t bit = uint32_t(__builtin_ctz(changed));
      ++toggles[base + bit];
      high[base + bit] += value >> bit & 1 ? -begin : begin;
    }
  }
  void print(std::FILE* file, const Net& net, uint32_t code, const std::string& name, const std::string& indent) {
    for (uint32_t bit = 0; bit < net.bits; ++bit) {
      bool one = last[code + bit / 32] >> bit % 32 & 1;
      int64_t ones = net.clock ? end / 2 : high[net.first + bit] + (one ? end : 0);
      uint64_t changes = net.clock ? 2 * periods : toggles[net.first + bit];
      std::string index = net.bits > 1 ? "\\[" + std::to_string(bit) + "\\]" : "";
      std::fprintf(file, "%s(%s%s (T0 %lld) (T1 %lld) (TX 0) (TC %llu))\n", indent.c_str(), name.c_str(),
                   index.c_str(), (long long)(end - ones), (long long)ones, (unsigned long long)changes);
    }
  }
  void print(std::FILE* file, const VerilatedSaifActivityScope& scope, std::string indent) {
    std::fprintf(file, "%s(INSTANCE %s\n", indent.c_str(), scope.name.c_str());
    indent += ' ';
    std::vector<const std::pair<uint32_t, std::string>*> groups[2];
    for (auto& signal : scope.nets) {
      Net& net = nets[signal.first];
      groups[net.printed].push_back(&signal);
      net.printed = true;
    }
    for (int i = 0; i < 2; ++i) {
      if (groups[i].empty()) continue;
      std::fprintf(file, "%s(%s\n", indent.c_str(), i ? "PORT" : "NET");
      for (auto* signal : groups[i]) print(file, nets[signal->first], signal->first, signal->second, indent + ' ');
      std::fprintf(file, "%s)\n", indent.c_str());
    }
    for (auto& child : scope.children) print(file, *child, indent);
    std::fprintf(file, "%.*s)\n", int(indent.size()) - 1, indent.c_str());
  }
  uint64_t periods = 0;
};

VerilatedSaif::VerilatedSaif(void*) {}
VerilatedSaif::~VerilatedSaif() { close(); }

void VerilatedSaif::open(const char* filename) {
  const VerilatedLockGuard lock{m_mutex};
  if (isOpen()) return;
  m_filename = filename;
  m_isOpen = true;
  m_activityAccumulators.emplace_back(new VerilatedSaifActivityAccumulator);
  Super::traceInit();
}

void VerilatedSaif::close() {
  const VerilatedLockGuard lock{m_mutex};
  if (!isOpen()) return;
  auto& all = *m_activityAccumulators.front();
  if (std::FILE* file = std::fopen(m_filename.c_str(), "w")) {
    std::fprintf(file,
                 "(SAIFILE\n(SAIFVERSION \"2.0\")\n(DIRECTION \"backward\")\n(PROGRAM_NAME \"spikeclip-fpga\")\n"
                 "(DIVIDER / )\n(TIMESCALE 1 ps)\n(DURATION %lld)\n",
                 (long long)all.end);
    for (auto& scope : m_scopes) all.print(file, *scope, " ");
    std::fputs(")\n", file);
    if (std::ferror(file) | std::fclose(file)) std::remove(m_filename.c_str());
  }
  m_scopes.clear(), m_activityAccumulators.clear(), m_currentScope = nullptr;
  m_isOpen = false;
  Super::closeBase();
}

void VerilatedSaif::flush() {
  const VerilatedLockGuard lock{m_mutex};
  Super::flushBase();
}

// The first sample's time is 0, that of sample k the end of the k-th period.
void VerilatedSaif::emitTimeChange(uint64_t time) {
  auto& all = *m_activityAccumulators.front();
  all.reference = time == 0;
  all.periods += time != 0;
  all.begin = all.end, all.end = int64_t(time);
}

static bool is_array(VerilatedTracePrefixType type) {
  return type == VerilatedTracePrefixType::ARRAY_UNPACKED || type == VerilatedTracePrefixType::ARRAY_PACKED;
}

void VerilatedSaif::pushPrefix(const char* text, VerilatedTracePrefixType type) {
  std::string name{text}, outer = m_prefixStack.back().first;
  if (name.empty() || name == "$rootio") {
    m_prefixStack.emplace_back(outer, VerilatedTracePrefixType::ROOTIO_WRAPPER);
    return;
  }
  if (!is_array(type)) {
    auto scope = std::make_unique<VerilatedSaifActivityScope>();
    scope->name = lastWord(outer + name), scope->parent = m_currentScope;
    auto& siblings = m_currentScope ? m_currentScope->children : m_scopes;
    siblings.push_back(std::move(scope));
    m_currentScope = siblings.back().get();
  }
  m_prefixStack.emplace_back(outer + name + (is_array(type) ? "" : " "), type);
}

void VerilatedSaif::popPrefix() {
  auto type = m_prefixStack.back().second;
  if (!is_array(type) && type != VerilatedTracePrefixType::ROOTIO_WRAPPER && m_currentScope)
    m_currentScope = m_currentScope->parent;
  m_prefixStack.pop_back();
}

void VerilatedSaif::declare(uint32_t code, uint32_t, const char* name, const char*, bool array, int index, bool,
                            int msb, int lsb) {
  std::string path = m_prefixStack.back().first + name;
  uint32_t bits = uint32_t(msb > lsb ? msb - lsb : lsb - msb) + 1;
  if (!Super::declCode(code, path, bits) || !m_currentScope) return;
  std::string last = lastWord(path), escaped;
  if (array) last += '[' + std::to_string(index) + ']';
  for (char c : last) escaped += c == '[' || c == ']' ? std::string{'\\', c} : std::string(1, c);
  bool clock = !m_currentScope->parent && last == saif_clock;
  m_currentScope->nets.emplace_back(code, escaped);
  m_activityAccumulators.front()->declare(code, bits, clock);
}

#define SC_DECLARE(kind, msb, lsb, ...)                                                                        \
  void VerilatedSaif::decl##kind(uint32_t code, uint32_t fidx, const char* name __VA_ARGS__) {                   \
    declare(code, fidx, name, "", false, -1, false, msb, lsb);                                                   \
  }
#define SC_DECLARE_ARRAY(kind, msb, lsb, ...)                                                                  \
  void VerilatedSaif::decl##kind##Array(uint32_t code, uint32_t fidx, const char* name, int at __VA_ARGS__) {    \
    declare(code, fidx, name, "", true, at, false, msb, lsb);                                                    \
  }
#define SC_RANGE , int msb, int lsb
SC_DECLARE(Event, 0, 0)
SC_DECLARE(Bit, 0, 0)
SC_DECLARE(Bus, msb, lsb, SC_RANGE)
SC_DECLARE(Quad, msb, lsb, SC_RANGE)
SC_DECLARE(Wide, msb, lsb, SC_RANGE)
SC_DECLARE(Double, 63, 0)
SC_DECLARE_ARRAY(Event, 0, 0)
SC_DECLARE_ARRAY(Bit, 0, 0)
SC_DECLARE_ARRAY(Bus, msb, lsb, SC_RANGE)
SC_DECLARE_ARRAY(Quad, msb, lsb, SC_RANGE)
SC_DECLARE_ARRAY(Wide, msb, lsb, SC_RANGE)
SC_DECLARE_ARRAY(Double, 63, 0)

VerilatedSaif::Buffer* VerilatedSaif::getTraceBuffer(uint32_t) { return new Buffer{*this}; }
void VerilatedSaif::commitTraceBuffer(VerilatedSaif::Buffer* buffer) { delete buffer; }

#define SC_CHANGE(word, value) m_owner.m_activityAccumulators.front()->change(code, word, value)
void VerilatedSaifBuffer::emitEvent(uint32_t) {}
void VerilatedSaifBuffer::emitDouble(uint32_t, double) {}
void VerilatedSaifBuffer::emitBit(uint32_t code, CData value) { SC_CHANGE(0, value); }
void VerilatedSaifBuffer::emitCData(uint32_t code, CData value, int) { SC_CHANGE(0, value); }
void VerilatedSaifBuffer::emitSData(uint32_t code, SData value, int) { SC_CHANGE(0, value); }
void VerilatedSaifBuffer::emitIData(uint32_t code, IData value, int) { SC_CHANGE(0, value); }
void VerilatedSaifBuffer::emitQData(uint32_t code, QData value, int) {
  SC_CHANGE(0, uint32_t(value));
  SC_CHANGE(1, uint32_t(value >> 32));
}
void VerilatedSaifBuffer::emitWData(uint32_t code, const WData* value, int bits) {
  for (int word = 0; word * 32 < bits; ++word) SC_CHANGE(uint32_t(word), value[word]);
}
