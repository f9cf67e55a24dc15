// The two functions of LZ4 that Verilator's FST writer calls, without compression, so that waveforms need
// no lz4 development package. A block of literals alone is a valid LZ4 block.
#pragma once

#include <cstring>

static inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

static inline int LZ4_compress_default(const char* from, char* to, int size, int room) {
  if (room < LZ4_compressBound(size)) return 0;
  char* at = to;
  if (size < 15) {
    *at++ = static_cast<char>(size << 4);
  } else {
    *at++ = static_cast<char>(15 << 4);
    int rest = size - 15;
    for (; rest >= 255; rest -= 255) *at++ = static_cast<char>(255);
    *at++ = static_cast<char>(rest);
  }
  std::memcpy(at, from, static_cast<size_t>(size));
  return static_cast<int>(at - to) + size;
}
