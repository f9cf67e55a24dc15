// A $readmemh without an end address fills its memory: Verilator then warns of a file with too few lines, which
// the bench takes for an error.
#pragma once

#include "verilated.h"

#include <string>

static inline void sc_readmem(bool hex, int bits, QData depth, int lsb, const std::string& name, void* memory,
                              QData start, QData end) {
  VL_READMEM_N(hex, bits, depth, lsb, name, memory, start, end == ~0ULL ? QData(lsb) + depth - 1 : end);
}

#define VL_READMEM_N sc_readmem
