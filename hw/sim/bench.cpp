// Clock a Dut, offer beats to its inputs and take beats from its outputs, with stalls on both sides.
// C ABI for simulate.py, which mirrors Stream, Options and Result field by field.

#include "bench.h"
#include "print.h"
#include "verilated.h"

#include <sched.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <thread>

#define SC_API __attribute__((visibility("default")))

namespace {

thread_local std::string message;  // first complaint of the module or of Verilator's runtime
thread_local std::string said;     // the text of its last $error or $fatal

void complain(const char* file, int line, const char* text) {
  if (!message.empty()) return;
  const char* base = file ? std::strrchr(file, '/') : nullptr;
  message = std::string(base ? base + 1 : file ? file : "") + ":" + std::to_string(line) + ": " + text;
}

struct Random {
  uint64_t state;
  explicit Random(uint64_t seed) : state(seed) {}
  uint64_t next() {  // splitmix64
    uint64_t z = (state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
};

enum Kind : int64_t { kAlways = 0, kRandom = 1, kBursts = 2, kRate = 3 };
enum Status : int64_t { kDone = 0, kStuck = 1, kSurplus = 2, kUnstable = 3, kMessage = 4 };

struct Stream {
  uint32_t* data;      // beats x words
  int64_t* cycles;     // beats: cycle of each handshake
  int64_t beats, words, done;
  int64_t kind, chance;         // chance of 65536 that a kRandom gate is open
  int64_t open_max, closed_max; // longest runs of a kBursts gate; beats and cycles of a kRate gate
  uint64_t seed;
};

struct Options {
  int64_t watchdog;  // cycles without any handshake before giving up
  int64_t drain;     // cycles to watch for surplus beats at the end
  int64_t from, to;  // cycles that are traced, without `to`; all if `to` is negative
  int64_t period;    // of the clock in SAIF, in ps
  int64_t hold;      // inputs without valid keep their data instead of noise
};

struct Result {
  int64_t status, cycles, simulated, stream;  // stream: index, inputs first
};

// Says each cycle whether a stream may move.
struct Gate {
  const Stream& s;
  Random random;
  int64_t left = 0;
  bool is_open = false;
  explicit Gate(const Stream& stream) : s(stream), random(stream.seed) {}
  bool open(int64_t cycle) {
    if (s.kind == kAlways) return true;
    if (s.kind == kRate) return cycle * s.open_max >= s.done * s.closed_max;
    if (s.kind == kRandom) return int64_t(random.next() & 0xFFFF) < s.chance;
    if (left == 0) {
      is_open = !is_open;
      left = 1 + int64_t(random.next() % uint64_t(is_open ? s.open_max : s.closed_max));
    }
    --left;
    return is_open;
  }
};

struct Simulation {
  std::unique_ptr<Dut> dut;
  uint64_t time = 0, counted = 0;  // half periods; time of the last sample in ps
  bool shown = true, counting = false, ended = false;
  void low() { *dut->clock = 0, dut->eval(), dump(); }
  void high() { *dut->clock = 1, dut->eval(), dump(); }
  void dump() {
    if (shown) dut->dump(time);
    ++time;
  }
  // Inputs and wires are settled: what differs from the period before has changed once. Between edges, wires behind
  // the module's inputs would change twice, since the bench moves inputs half a period after the registers.
  void settled(int64_t cycle, const Options& o) {
    if (counting) dut->sample(counted += uint64_t(o.period));
    if (cycle + 1 == o.from) begin();
    if (cycle + 1 == o.to) end();
  }
  void begin() {
    if (!counting && !ended) counting = true, dut->count(true);
  }
  void end() {
    if (counting) counting = false, ended = true, dut->count(false);
  }
};

void put(const Port& port, const uint32_t* words, size_t bytes) {
  std::memcpy(port.data, words, bytes < port.bytes ? bytes : port.bytes);
}

void garble(const Port& port, Random& random) {
  for (uint32_t at = 0; at < port.bytes; at += 8) {
    uint64_t noise = random.next();
    std::memcpy(static_cast<char*>(port.data) + at, &noise, port.bytes - at < 8 ? port.bytes - at : 8);
  }
  uint32_t spare = port.bytes * 8 - port.bits;  // Verilator wants the bits beyond the width clear
  auto* top = static_cast<unsigned char*>(port.data) + port.bytes;
  for (; spare >= 8; spare -= 8) *--top = 0;
  if (spare) *--top &= static_cast<unsigned char>(0xFF >> spare);
}

struct Source {
  const Port& port;
  Stream& s;
  Gate gate;
  Random noise;
  bool hold = false, offering = false, fires = false;
  void drive(int64_t cycle) {
    if (!offering && s.done < s.beats && gate.open(cycle)) {
      offering = true;
      put(port, s.data + s.done * s.words, size_t(s.words) * 4);
    } else if (!offering && !hold) {
      garble(port, noise);  // data without valid means nothing
    }
    *port.valid = offering;
  }
  void settle() { fires = offering && *port.ready; }
  void commit(int64_t cycle) {
    if (!fires) return;
    s.cycles[s.done++] = cycle;
    offering = false;
  }
};

struct Sink {
  const Port& port;
  Stream& s;
  Gate gate;
  std::vector<unsigned char> held;
  bool holding = false, fires = false;
  void drive(int64_t cycle) { *port.ready = gate.open(cycle); }
  Status settle() {
    bool valid = *port.valid;
    if (holding && (!valid || std::memcmp(held.data(), port.data, port.bytes))) return kUnstable;
    fires = valid && *port.ready;
    holding = valid && !fires;
    if (holding) std::memcpy(held.data(), port.data, port.bytes);
    if (!fires) return kDone;
    if (s.done == s.beats) return kSurplus;
    std::memcpy(s.data + s.done * s.words, port.data, port.bytes);
    return kDone;
  }
  void commit(int64_t cycle) {
    if (fires) s.cycles[s.done++] = cycle;
  }
};

}  // namespace

// Verilator's runtime calls these (VL_USER_*) instead of printing and ending the process.
void vl_finish(const char* file, int line, const char*) { complain(file, line, "$finish"); }
void vl_stop(const char* file, int line, const char*) {
  complain(file, line, (said.empty() ? "$stop" : said).c_str());
  said.clear();
}
void vl_fatal(const char* file, int line, const char*, const char* text) { complain(file, line, text); }
void vl_warn(const char* file, int line, const char*, const char* text) { complain(file, line, text); }

// As "[7] %Error: fifo.sv:9: Assertion failed in top.u_a.u_b: top.u_a.u_b: too full" -> "$error in top.u_a.u_b: too full".
int sc_print(const char* format, ...) {
  char text[2048];
  va_list values;
  va_start(values, format);
  int length = std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  std::string line(text);
  bool fatal = line.find("%Fatal: ") != std::string::npos;
  if (!fatal && line.find("%Error: ") == std::string::npos) {
    std::fputs(text, stdout);
    return length;
  }
  static const char kAt[] = "Assertion failed in ";
  size_t at = line.find(kAt), from = at == std::string::npos ? 0 : at + sizeof kAt - 1;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  said = (fatal ? "$fatal in " : "$error in ") + line.substr(from);
  return length;
}

extern "C" {

// Return null and a message if the module complains while it starts. `folder`: where $readmemh reads.
SC_API void* sc_open(const char* folder, uint64_t seed, const char* trace, char* text, int64_t room) {
  auto sim = std::make_unique<Simulation>();
  std::string refusal;
  // Initial blocks run here. A thread of its own has a current folder of its own.
  std::thread starter([&] {
    message.clear();
    if (unshare(CLONE_FS) || chdir(folder)) {
      refusal = std::string("cannot enter ") + folder;
      return;
    }
    try {
      sim->dut.reset(make_dut(seed, trace));
      *sim->dut->reset_n = 0;
      sim->low();
    } catch (const std::exception& error) {
      complain("verilator", 0, error.what());
    }
    refusal = message;
  });
  starter.join();
  if (refusal.empty()) return sim.release();
  std::snprintf(text, size_t(room), "%s", refusal.c_str());
  return nullptr;
}

SC_API void sc_close(void* handle) { delete static_cast<Simulation*>(handle); }

SC_API void sc_reset(void* handle, int64_t cycles) {
  auto& sim = *static_cast<Simulation*>(handle);
  *sim.dut->reset_n = 0;
  for (auto& p : sim.dut->inputs) *p.valid = 0;
  for (auto& p : sim.dut->outputs) *p.ready = 0;
  for (int64_t i = 0; i < cycles; ++i) sim.low(), sim.high();
  *sim.dut->reset_n = 1;
}

// Copy output port `index` of those that belong to no stream to `out`.
SC_API void sc_probe(void* handle, int64_t index, void* out) {
  const Probe& p = static_cast<Simulation*>(handle)->dut->probes[size_t(index)];
  std::memcpy(out, p.data, p.bytes);
}

SC_API void sc_run(void* handle, Stream* streams, const Options* options, Result* result, char* text, int64_t room) {
  auto& sim = *static_cast<Simulation*>(handle);
  message.clear();
  std::vector<Source> sources;
  std::vector<Sink> sinks;
  Stream* s = streams;
  for (auto& p : sim.dut->inputs) sources.push_back({p, *s, Gate(*s), Random(~s->seed), options->hold != 0}), ++s;
  for (auto& p : sim.dut->outputs) sinks.push_back({p, *s, Gate(*s), std::vector<unsigned char>(p.bytes)}), ++s;

  int64_t pending = 0;  // beats that have not moved
  for (Stream* i = streams; i != s; ++i) pending += i->beats;
  int64_t cycle = 0, last = -1, drained = 0;
  *result = {kDone, 0, 0, 0};
  if (options->from == 0 || options->to < 0) sim.begin();
  for (; pending > 0 || drained < options->drain; ++cycle) {
    if (pending == 0) ++drained;
    sim.shown = options->to < 0 || (cycle >= options->from && cycle < options->to);
    for (auto& source : sources) source.drive(cycle);
    for (auto& sink : sinks) sink.drive(cycle);
    sim.low();
    sim.settled(cycle, *options);
    for (auto& source : sources) source.settle();
    for (auto& sink : sinks) {
      Status status = sink.settle();
      if (status != kDone && result->status == kDone) {
        result->status = status;
        result->stream = int64_t(sources.size()) + (&sink - sinks.data());
      }
    }
    if (result->status != kDone) break;
    sim.high();
    for (auto& source : sources) pending -= source.fires, last = source.fires ? cycle : last, source.commit(cycle);
    for (auto& sink : sinks) pending -= sink.fires, last = sink.fires ? cycle : last, sink.commit(cycle);
    if (!message.empty()) {
      result->status = kMessage;
      std::snprintf(text, size_t(room), "%s", message.c_str());
      break;
    }
    if (pending > 0 && cycle - last > options->watchdog) {
      result->status = kStuck;
      break;
    }
  }
  sim.shown = true;
  for (auto& p : sim.dut->inputs) *p.valid = 0;
  for (auto& p : sim.dut->outputs) *p.ready = 0;
  result->cycles = last + 1;
  result->simulated = cycle;
}
}
