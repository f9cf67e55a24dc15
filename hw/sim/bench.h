// What the bench drives: a clocked module with any number of valid/ready/data streams.
// One small generated file per model (glue.cpp) makes a Dut; bench.cpp is compiled once for all.
#pragma once

#include <cstdint>
#include <vector>

struct Port {
  void* data;       // little-endian words, as Verilator keeps them
  uint32_t bytes;   // size of Verilator's variable
  uint32_t bits;    // width of the port
  uint8_t* valid;
  uint8_t* ready;
};

struct Probe {
  const void* data;
  uint32_t bytes;
};

struct Dut {
  virtual ~Dut() = default;
  virtual void eval() = 0;
  virtual void dump(uint64_t time) = 0;  // write a sample of the waveform, if there is one
  // With SAIF: open its file and take the present state as reference, or write and close it; once.
  virtual void count(bool on) { (void)on; }
  virtual void sample(uint64_t time) { (void)time; }  // count what changed since the last sample
  uint8_t* clock = nullptr;
  uint8_t* reset_n = nullptr;
  std::vector<Port> inputs, outputs;
  std::vector<Probe> probes;  // other output ports
};

// Registers start with values from `seed`; `trace`: FST or SAIF file, or null.
Dut* make_dut(uint64_t seed, const char* trace);
