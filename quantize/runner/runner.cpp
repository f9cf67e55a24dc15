// Run an integer network (quantize/golden.py is the definition) image by image: a flat list of Op, one
// thread per image, every buffer of an image in that thread's arena, which fits a core's L2 cache.
//
// Layouts inside an arena. P positions (map or tokens, row by row), T steps, C channels padded to a
// multiple of 32 (Cp); the padding holds 0 and never fires:
//   currents [P][T][Cp] int16 or int32, whichever holds the range program.py has proven
//   spikes   [P][T][Cp] bytes 0 or 1
//   lists    [P][T][kHead + roundup(C, 8) + 8] uint16: the number of spikes, at kHead the channels that
//            have one, ascending, then C at least 3 times (the index of a row of zero weights)
// One file, since that is what model/native compiles and hashes.
//
// Spikes are sparse, so SpikeConv and SpikeLinear add one row of weights per spike and multiply nothing.
// Rows wider than a vector stay in registers. Vectors are GCC's generic ones: any processor will do.

#include <omp.h>
#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>

namespace {

#if defined(__AVX512BW__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

constexpr int kBlock = 32;      // channels are padded to a multiple of this
constexpr int kMaxBlocks = 4;   // blocks of output channels whose accumulators are in registers together
constexpr int kHead = 8;        // first entry of a spike list
constexpr int kQuad = 4;        // lists are padded to a multiple of this
constexpr int kSteps = 16;      // counters per operator: the largest T

template <typename T, int kSize>
struct VectorOf {
  typedef T type __attribute__((vector_size(kSize)));
};
template <typename T, int kSize = kBytes>
using Vector = typename VectorOf<T, kSize>::type;
using Narrow = Vector<int8_t, kBytes / 2>;  // as many lanes as Vector<int16_t>

template <typename V, typename T>
inline V load(const T* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <typename V, typename T>
inline void store(T* p, const V& v) {
  std::memcpy(p, &v, sizeof v);
}

inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
inline int64_t list_stride(int64_t channels) { return kHead + round_up(channels, 8) + 8; }

}  // namespace

// One operator; program.py has the same fields in the same order. src, dst and lists are byte offsets in
// the arena (lists: -1 for none), p0.. are addresses of constants, a0.. depend on the operator.
struct Op {
  int64_t op, mode, src, src2, src3, dst, lists, lists2, steps;
  int64_t height, width, channels, out_height, out_width, out_channels, kernel, stride, pad;
  int64_t src_bits, src2_bits, dst_bits, p0, p1, p2, a0, a1, a2, a3, a4, a5;
};

namespace {

enum Kind { kConv, kSpikeConv, kMaxPool, kOrPool, kLif, kAlign, kAdd, kAttention, kReadout };

struct Failure {
  int64_t op, step, value;
};

struct Context {
  char* arena;
  char* scratch;
  const uint8_t* image;
  int64_t* out;
  int64_t* counters;  // of the current operator, or null
  Failure failure;

  template <typename T>
  T* at(int64_t offset) const {
    return reinterpret_cast<T*>(arena + offset);
  }
};

template <typename T>
inline const T* constant(int64_t address) {
  return reinterpret_cast<const T*>(address);
}

// -- Spike lists ------------------------------------------------------------------------------------

struct ListTable {
  uint16_t index[256][8];  // the set bits of a byte, ascending
  constexpr ListTable() : index() {
    for (int byte = 0; byte < 256; ++byte)
      for (int bit = 0, n = 0; bit < 8; ++bit)
        if (byte >> bit & 1) index[byte][n++] = static_cast<uint16_t>(bit);
  }
};
constexpr ListTable kTable;

// List the spikes of one position and step. Eight bytes of 0 or 1 become eight bits by one multiplication.
inline int write_list(const uint8_t* spikes, int64_t channels, uint16_t* list) {
  using V = Vector<uint16_t, 16>;
  uint16_t* next = list + kHead;
  for (int64_t c = 0; c < channels; c += 8) {
    uint64_t word;
    std::memcpy(&word, spikes + c, 8);
    const uint64_t bits = word * 0x0102040810204080ull >> 56;
    store<V>(next, load<V>(kTable.index[bits]) + static_cast<uint16_t>(c));
    next += __builtin_popcountll(word);
  }
  const int count = static_cast<int>(next - list) - kHead;
  store<V>(next, V{} + static_cast<uint16_t>(channels));
  list[0] = static_cast<uint16_t>(count);
  return count;
}

inline void finish_words(const Op& op, const Context& context, const uint8_t* spikes, int64_t position, int64_t step) {
  int64_t count = 0;
  if (op.lists >= 0) {
    const int64_t row = position * op.steps + step;
    count = write_list(spikes, op.channels, context.at<uint16_t>(op.lists) + row * list_stride(op.channels));
  } else if (context.counters) {
    for (int64_t c = 0; c < op.channels; ++c) count += spikes[c];
  }
  if (context.counters) context.counters[step] += count;
}

// -- Convolutions and linear maps -------------------------------------------------------------------

// Dense: the image, whose pixels are integers of either sign. p0: weights int32 [k][k][C][Mp].
template <int kPixels>
inline void conv_pixels(const int32_t* x, int64_t line, int64_t kernel, int64_t channels, const int32_t* weight,
                        int64_t padded, int32_t* out) {
  using V = Vector<int32_t>;
  constexpr int kLanes = kBytes / 4, kParts = kBlock / kLanes;
  V acc[kPixels][kParts] = {};
  for (int64_t ky = 0; ky < kernel; ++ky)
    for (int64_t i = 0; i < kernel * channels; ++i, weight += padded) {
      V row[kParts];
      for (int p = 0; p < kParts; ++p) row[p] = load<V>(weight + p * kLanes);
      for (int q = 0; q < kPixels; ++q)
        for (int p = 0; p < kParts; ++p) acc[q][p] += row[p] * x[ky * line + q * channels + i];
    }
  for (int q = 0; q < kPixels; ++q)
    for (int p = 0; p < kParts; ++p) store<V>(out + q * padded + p * kLanes, acc[q][p]);
}

void conv(const Op& op, const Context& context) {
  const int64_t line = (op.width + 2 * op.pad) * op.channels, padded = round_up(op.out_channels, kBlock);
  auto* x = reinterpret_cast<int32_t*>(context.scratch);
  std::memset(x, 0, line * (op.height + 2 * op.pad) * sizeof *x);
  for (int64_t y = 0; y < op.height; ++y)
    for (int64_t i = 0; i < op.width * op.channels; ++i)
      x[(y + op.pad) * line + op.pad * op.channels + i] = context.image[y * op.width * op.channels + i] - op.a0;
  for (int64_t m = 0; m < padded; m += kBlock)
    for (int64_t oy = 0; oy < op.out_height; ++oy) {
      const int32_t *from = x + oy * line, *weight = constant<int32_t>(op.p0) + m;
      int32_t* out = context.at<int32_t>(op.dst) + oy * op.out_width * padded + m;
      int64_t ox = 0;
      for (; ox + 4 <= op.out_width; ox += 4)
        conv_pixels<4>(from + ox * op.channels, line, op.kernel, op.channels, weight, padded, out + ox * padded);
      for (; ox < op.out_width; ++ox)
        conv_pixels<1>(from + ox * op.channels, line, op.kernel, op.channels, weight, padded, out + ox * padded);
    }
}

inline Vector<int16_t> widen(Narrow v) {
#if defined(__AVX512BW__)  // one instruction; g++ 12 makes four of the conversion below
  return reinterpret_cast<Vector<int16_t>>(_mm512_cvtepi8_epi16(reinterpret_cast<__m256i>(v)));
#else
  return __builtin_convertvector(v, Vector<int16_t>);
#endif
}

// Add the rows named by the list. Weights of few bits are added as bytes, `batch` rows at a time (no sum of
// so many leaves a byte), and then widened: twice the lanes, half the memory. Not inlined: in the middle of
// a larger function g++ runs out of registers and spills the addresses.
template <int kBlocks>
[[gnu::noinline]] void add_rows(const int8_t* weight, const uint16_t* list, int64_t n, int64_t batch, int16_t* out) {
  using V = Vector<int16_t>;
  constexpr int kLanes = kBytes / 2, kParts = kBlocks * kBlock / kLanes;
  V acc[kParts] = {};
  for (int64_t i = 0; i < n; i += batch) {
    Narrow part[kParts] = {};
    const int64_t end = std::min(n, i + batch);
    for (int64_t j = i; j < end; j += kQuad)
      for (int u = 0; u < kQuad; ++u) {
        const int8_t* row = weight + static_cast<int64_t>(list[j + u]) * (kBlocks * kBlock);
        for (int p = 0; p < kParts; ++p) part[p] += load<Narrow>(row + p * kLanes);
      }
    for (int p = 0; p < kParts; ++p) acc[p] += widen(part[p]);
  }
  for (int p = 0; p < kParts; ++p) store<V>(out + p * kLanes, acc[p]);
}

template <int kBlocks, typename T>
[[gnu::noinline]] void add_rows(const T* weight, const uint16_t* list, int64_t n, int64_t, T* out) {
  using V = Vector<T>;
  constexpr int kLanes = kBytes / static_cast<int>(sizeof(T)), kParts = kBlocks * kBlock / kLanes;
  V acc[kParts] = {};
  for (int64_t j = 0; j < n; j += kQuad)
    for (int u = 0; u < kQuad; ++u) {
      const T* row = weight + static_cast<int64_t>(list[j + u]) * (kBlocks * kBlock);
      for (int p = 0; p < kParts; ++p) acc[p] += load<V>(row + p * kLanes);
    }
  for (int p = 0; p < kParts; ++p) store<V>(out + p * kLanes, acc[p]);
}

// The part of a window that lies on the map, and how to walk it: tap (ky, kx) has rows (ky k + kx) C and up.
struct Window {
  const uint16_t* list;  // of the first tap and step
  int64_t rows, taps, next_row, next_tap;
  uint16_t first, first_next_row, channels, end;
};

// Concatenate a window's lists into `out`; return their length.
[[gnu::noinline]] int64_t window_list(const Window& window, const uint16_t* list, uint16_t* out) {
  using V = Vector<uint16_t>;
  constexpr int64_t kLanes = kBytes / 2;
  uint16_t first = window.first;
  uint16_t* next = out;
  for (int64_t y = 0; y < window.rows; ++y, list += window.next_row, first += window.first_next_row) {
    const uint16_t* tap = list;
    uint16_t row = first;
    for (int64_t x = 0; x < window.taps; ++x, tap += window.next_tap, row += window.channels) {
      const int64_t count = tap[0];
      store<V>(next, load<V>(tap + kHead) + row);
      for (int64_t i = kLanes; i < count; i += kLanes) store<V>(next + i, load<V>(tap + kHead + i) + row);
      next += count;
    }
  }
  store<V>(next, V{} + window.end);
  return next - out;
}

Window window_at(const Op& op, const uint16_t* lists, int64_t oy, int64_t ox) {
  const int64_t y0 = std::max<int64_t>(0, oy - op.pad), x0 = std::max<int64_t>(0, ox - op.pad);
  const int64_t next_tap = op.steps * list_stride(op.channels), tap = (y0 + op.pad - oy) * op.kernel + x0 + op.pad - ox;
  Window w;
  w.list = lists + (y0 * op.width + x0) * next_tap;
  w.rows = std::min(op.height, oy - op.pad + op.kernel) - y0;
  w.taps = std::min(op.width, ox - op.pad + op.kernel) - x0;
  w.next_row = op.width * next_tap;
  w.next_tap = next_tap;
  w.first = static_cast<uint16_t>(tap * op.channels);
  w.first_next_row = static_cast<uint16_t>(op.kernel * op.channels);
  w.channels = static_cast<uint16_t>(op.channels);
  w.end = static_cast<uint16_t>(op.kernel * op.kernel * op.channels);
  return w;
}

// p0: weights [chunk][k k C + 1][blocks of the chunk * 32], the last row zero.  a0: batch.
template <int kBlocks, typename W, typename A>
void spike_conv_chunk(const Op& op, const Context& context, const W* weight, int64_t column) {
  const bool linear = op.kernel == 1 && op.pad == 0;  // the lists are the windows
  const int64_t padded = round_up(op.out_channels, kBlock), stride = list_stride(op.channels);
  const uint16_t* lists = context.at<uint16_t>(op.lists);
  auto* scratch = reinterpret_cast<uint16_t*>(context.scratch);
  A* out = context.at<A>(op.dst) + column;
  for (int64_t oy = 0; oy < op.out_height; ++oy)
    for (int64_t ox = 0; ox < op.out_width; ++ox) {
      const Window window = window_at(op, lists, oy, ox);
      for (int64_t t = 0; t < op.steps; ++t, out += padded) {
        const uint16_t* list = window.list + t * stride;
        const int64_t n = linear ? list[0] : window_list(window, list, scratch);
        add_rows<kBlocks>(weight, linear ? list + kHead : scratch, n, op.a0, out);
        if (context.counters && column == 0) context.counters[t] += n;
      }
    }
}

template <typename W, typename A>
void spike_conv(const Op& op, const Context& context) {
  const int64_t blocks = round_up(op.out_channels, kBlock) / kBlock, chunks = (blocks + kMaxBlocks - 1) / kMaxBlocks;
  const int64_t rows = op.kernel * op.kernel * op.channels + 1;
  const W* weight = constant<W>(op.p0);
  int64_t column = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t now = blocks / chunks + (chunk < blocks % chunks);
    if (now == 1) spike_conv_chunk<1, W, A>(op, context, weight, column);
    if (now == 2) spike_conv_chunk<2, W, A>(op, context, weight, column);
    if (now == 3) spike_conv_chunk<3, W, A>(op, context, weight, column);
    if (now == 4) spike_conv_chunk<4, W, A>(op, context, weight, column);
    weight += rows * now * kBlock;
    column += now * kBlock;
  }
}

// -- Pools ------------------------------------------------------------------------------------------

// Reduce each window's positions, rows of `row` elements, with `reduce`; padding does not take part.
template <typename T, typename Reduce>
void pool(const Op& op, const Context& context, int64_t row, Reduce reduce) {
  const T* x = context.at<T>(op.src);
  T* out = context.at<T>(op.dst);
  for (int64_t oy = 0; oy < op.out_height; ++oy)
    for (int64_t ox = 0; ox < op.out_width; ++ox, out += row) {
      const int64_t y0 = oy * op.stride - op.pad, x0 = ox * op.stride - op.pad;
      bool first = true;
      for (int64_t y = std::max<int64_t>(0, y0); y < std::min(op.height, y0 + op.kernel); ++y)
        for (int64_t xx = std::max<int64_t>(0, x0); xx < std::min(op.width, x0 + op.kernel); ++xx) {
          const T* from = x + (y * op.width + xx) * row;
          if (first) {
            std::memcpy(out, from, row * sizeof(T));
          } else {
            for (int64_t i = 0; i < row; i += kBlock)
              for (int j = 0; j < kBlock; ++j) out[i + j] = reduce(out[i + j], from[i + j]);
          }
          first = false;
        }
    }
}

template <typename T>
void max_pool(const Op& op, const Context& context) {
  pool<T>(op, context, op.steps * round_up(op.channels, kBlock), [](T a, T b) { return a > b ? a : b; });
}

void or_pool(const Op& op, const Context& context) {
  const int64_t padded = round_up(op.channels, kBlock);
  pool<uint8_t>(op, context, op.steps * padded, [](uint8_t a, uint8_t b) { return static_cast<uint8_t>(a | b); });
  const uint8_t* out = context.at<uint8_t>(op.dst);
  for (int64_t position = 0; position < op.out_height * op.out_width; ++position)
    for (int64_t t = 0; t < op.steps; ++t, out += padded) finish_words(op, context, out, position, t);
}

// -- Neurons ----------------------------------------------------------------------------------------

// floor(k v / 2^n). For 16-bit membranes it is (v or 0) + the high half of v * a2, all in 16 bits.
template <typename V>
inline V leak(V v, V k, int n) {
  return k * v >> n;
}
inline int16_t leak(int16_t v, int16_t whole, int factor) {
  return static_cast<int16_t>((v & whole) + (v * static_cast<int16_t>(factor) >> 16));
}

// X: current, V: a type that program.py has proven the membrane fits. int64 stands for "not proven": there
// every membrane is compared with the stated width, a4 bits. p0: threshold, p1: bias, V [Cp]. a0: F,
// a1: k (16 bits: -1 or 0), a2: n (16 bits: the factor), a3: broadcast.
template <typename X, typename V, bool kZero>
[[gnu::noinline]] bool lif(const Op& op, Context& context) {
  using Wide = std::conditional_t<sizeof(V) == 8, int64_t, int32_t>;
  constexpr bool kCheck = sizeof(V) == 8;
  const int64_t padded = round_up(op.channels, kBlock), positions = op.height * op.width;
  const int shift = static_cast<int>(op.a0), n = static_cast<int>(op.a2);
  const V k = static_cast<V>(op.a1);
  const auto scale = static_cast<int16_t>(1 << (shift & 15));  // the shift as a product stays in 16 bits
  const V *threshold = constant<V>(op.p0), *bias = constant<V>(op.p1);
  const V limit = kCheck ? static_cast<V>((int64_t{1} << (op.a4 - 1)) - 1) : 0;
  const X* x = context.at<X>(op.src);
  uint8_t* out = context.at<uint8_t>(op.dst);
  V* carry = reinterpret_cast<V*>(context.scratch);
  for (int64_t position = 0; position < positions; ++position) {
    std::memset(carry, 0, padded * sizeof(V));
    for (int64_t t = 0; t < op.steps; ++t, out += padded) {
      V low = 0, high = 0;
      for (int64_t c0 = 0; c0 < padded; c0 += kBlock)
#pragma GCC ivdep
        for (int64_t c = c0; c < c0 + kBlock; ++c) {
          const Wide drive = sizeof(V) == 2 ? x[c] * scale : static_cast<Wide>(x[c]) << shift;
          const V v = static_cast<V>(drive + bias[c] + carry[c]);
          const bool fires = v >= threshold[c];
          const V leaked = leak(v, k, n);
          out[c] = fires;
          carry[c] = kZero ? (fires ? V{0} : leaked) : static_cast<V>(leaked - (fires ? threshold[c] : V{0}));
          if constexpr (kCheck) {
            low = std::min(low, v);
            high = std::max(high, v);
          }
        }
      if (kCheck && (high > limit || low < -limit - 1)) {
        context.failure = {0, t, high > limit ? static_cast<int64_t>(high) : static_cast<int64_t>(low)};
        return false;
      }
      finish_words(op, context, out, position, t);
      if (!op.a3 || t + 1 == op.steps) x += padded;
    }
  }
  return true;
}

template <typename X, typename V>
bool lif(const Op& op, Context& context) {
  return op.a5 ? lif<X, V, true>(op, context) : lif<X, V, false>(op, context);
}

bool lif(const Op& op, Context& context) {
  const bool narrow = op.src_bits == 16;
  if (op.mode == 16) return lif<int16_t, int16_t>(op, context);
  if (op.mode == 32) return narrow ? lif<int16_t, int32_t>(op, context) : lif<int32_t, int32_t>(op, context);
  return narrow ? lif<int16_t, int64_t>(op, context) : lif<int32_t, int64_t>(op, context);
}

// -- The residual stream ----------------------------------------------------------------------------

// p0: shift, p1: bias, int32 [Cp]. Unsigned, since a shifted value may leave 32 bits before its bias is added.
template <typename X, typename Y>
void align(const Op& op, const Context& context) {
  const int64_t padded = round_up(op.channels, kBlock);
  const auto *shift = constant<uint32_t>(op.p0), *bias = constant<uint32_t>(op.p1);
  const X* x = context.at<X>(op.src);
  Y* out = context.at<Y>(op.dst);
  for (int64_t row = 0; row < op.height * op.width * op.steps; ++row)
    for (int64_t c0 = 0; c0 < padded; c0 += kBlock, x += kBlock, out += kBlock)
      for (int i = 0; i < kBlock; ++i)
        out[i] = static_cast<Y>((static_cast<uint32_t>(x[i]) << shift[c0 + i]) + bias[c0 + i]);
}

template <typename A, typename B, typename Y>
void add(const Op& op, const Context& context) {
  const A* a = context.at<A>(op.src);
  const B* b = context.at<B>(op.src2);
  Y* out = context.at<Y>(op.dst);
  const int64_t n = op.height * op.width * op.steps * round_up(op.channels, kBlock);
  for (int64_t i = 0; i < n; i += kBlock)
    for (int64_t j = i; j < i + kBlock; ++j) out[j] = static_cast<Y>(static_cast<int32_t>(a[j]) + b[j]);
}

// -- Attention --------------------------------------------------------------------------------------

// Per head and step Q (K^T V). Row c of K^T V has the counts of channel c of K with each channel of V in c's
// head. p0: head of each channel, uint16 [C]. a0: channels per head. Rows are padded to 16 lanes.
template <typename A>
[[gnu::noinline]] void attention(const Op& op, const Context& context) {
  constexpr int64_t kLanes = 16;
  using V = Vector<A, kLanes * sizeof(A)>;
  using Bytes = Vector<uint8_t, kLanes>;
  const int64_t each = op.a0, row = round_up(each, kLanes), heads = op.channels / each;
  const int64_t steps = op.steps, rows = op.height * op.width * steps;
  const int64_t channels = op.channels, padded = round_up(channels, kBlock), stride = list_stride(channels);
  const uint16_t *head = constant<uint16_t>(op.p0), *q = context.at<uint16_t>(op.lists), *k = context.at<uint16_t>(op.lists2);
  const uint8_t* v = context.at<uint8_t>(op.src3);
  A* out = context.at<A>(op.dst);
  A *product = reinterpret_cast<A*>(context.scratch), *sums = product + channels * row, *last = sums + heads * row;
  for (int64_t j = 0; j < row; ++j) last[j] = j < each ? -1 : 0;  // lanes beyond the head stay 0
  for (int64_t t = 0; t < steps; ++t) {
    std::memset(product, 0, channels * row * sizeof(A));
    for (int64_t n = t; n < rows; n += steps) {
      const uint16_t* list = k + n * stride;
      for (int64_t i = kHead; i < kHead + list[0]; ++i) {
        const uint8_t* from = v + n * padded + head[list[i]] * each;
        A* to = product + list[i] * row;
        for (int64_t j = 0; j < row; j += kLanes)
          store(to + j, load<V>(to + j) + (__builtin_convertvector(load<Bytes>(from + j), V) & load<V>(last + j)));
      }
    }
    for (int64_t n = t; n < rows; n += steps) {
      const uint16_t* list = q + n * stride;
      std::memset(sums, 0, heads * row * sizeof(A));
      for (int64_t i = kHead; i < kHead + list[0]; ++i) {
        const A* from = product + list[i] * row;
        A* to = sums + head[list[i]] * row;
        for (int64_t j = 0; j < row; j += kLanes) store(to + j, load<V>(to + j) + load<V>(from + j));
      }
      A* to = out + n * padded;
      for (int64_t h = 0; h < heads; ++h, to += each) {
        const bool inside = h * each + row <= channels;  // whole vectors: the next head overwrites the zeros
        for (int64_t j = 0; inside && j < row; j += kLanes) store(to + j, load<V>(sums + h * row + j));
        if (!inside) std::memcpy(to, sums + h * row, each * sizeof(A));
      }
      std::memset(to, 0, (padded - channels) * sizeof(A));
    }
  }
}

// -- Readout ----------------------------------------------------------------------------------------

// p0: time weights int64 [T], p1: weights A [D][Ep], p2: bias A [Ep]. a0: shift.
template <typename A>
void readout(const Op& op, const Context& context) {
  const int64_t padded = round_up(op.channels, kBlock), width = round_up(op.out_channels, kBlock);
  auto* sum = reinterpret_cast<int64_t*>(context.scratch);
  A* y = reinterpret_cast<A*>(sum + padded);
  std::memset(sum, 0, padded * sizeof *sum);
  const uint8_t* x = context.at<uint8_t>(op.src);
  for (int64_t n = 0; n < op.height * op.width; ++n)
    for (int64_t t = 0; t < op.steps; ++t, x += padded) {
      const int64_t weight = constant<int64_t>(op.p0)[t];
      for (int64_t c = 0; c < padded; ++c) sum[c] += x[c] ? weight : 0;
    }
  const int64_t half = (int64_t{1} << op.a0) >> 1;
  std::memcpy(y, constant<A>(op.p2), width * sizeof(A));
  for (int64_t c = 0; c < op.channels; ++c) {
    const A z = static_cast<A>((sum[c] + half) >> op.a0);
    const A* weight = constant<A>(op.p1) + c * width;
    for (int64_t e = 0; e < width; ++e) y[e] += weight[e] * z;
  }
  for (int64_t e = 0; e < op.out_channels; ++e) context.out[e] = y[e];
}

// -- The interpreter --------------------------------------------------------------------------------

bool step(const Op& op, Context& context) {
  const bool x16 = op.src_bits == 16, b16 = op.src2_bits == 16, y16 = op.dst_bits == 16;
  switch (op.op) {
    case kConv:
      conv(op, context);
      break;
    case kSpikeConv:
      if (op.mode == 8) spike_conv<int8_t, int16_t>(op, context);
      if (op.mode == 16) spike_conv<int16_t, int16_t>(op, context);
      if (op.mode == 32) spike_conv<int32_t, int32_t>(op, context);
      break;
    case kMaxPool:
      x16 ? max_pool<int16_t>(op, context) : max_pool<int32_t>(op, context);
      break;
    case kOrPool:
      or_pool(op, context);
      break;
    case kLif:
      return lif(op, context);
    case kAlign:
      if (x16) y16 ? align<int16_t, int16_t>(op, context) : align<int16_t, int32_t>(op, context);
      else y16 ? align<int32_t, int16_t>(op, context) : align<int32_t, int32_t>(op, context);
      break;
    case kAdd:  // program.py puts the wider operand first
      if (x16) y16 ? add<int16_t, int16_t, int16_t>(op, context) : add<int16_t, int16_t, int32_t>(op, context);
      else b16 ? add<int32_t, int16_t, int32_t>(op, context) : add<int32_t, int32_t, int32_t>(op, context);
      break;
    case kAttention:
      y16 ? attention<int16_t>(op, context) : attention<int32_t>(op, context);
      break;
    case kReadout:
      op.mode == 32 ? readout<int32_t>(op, context) : readout<int64_t>(op, context);
      break;
  }
  return true;
}

}  // namespace

extern "C" {

int64_t sc_runner_op_bytes() { return sizeof(Op); }

// The yardstick of benchmarks/integer_runner.py: nothing but the inner loop. weight [rows][96], list of n rows.
void sc_runner_add_rows(const int8_t* weight, const uint16_t* list, int64_t n, int64_t repeats, int16_t* out) {
  for (int64_t i = 0; i < repeats; ++i) add_rows<3>(weight, list, n, 16, out);
}

// Run n images -> out [n][embed]. counters [operators][16], or null: per step, spikes of a LIF or OrPool and
// rows added by a SpikeConv; they are added to.
// Returns 0; 1 when a membrane left its width, `failure` being the earliest operator's; 2 without memory.
int64_t sc_runner_run(const Op* ops, int64_t n_ops, int64_t arena_bytes, int64_t scratch, const uint8_t* images,
                      int64_t n, int64_t image_bytes, int64_t* out, int64_t embed, int64_t threads, int64_t* counters,
                      Failure* failure) {
  const int64_t n_counters = counters ? n_ops * kSteps : 0;
  const int64_t size = round_up(arena_bytes + n_counters * static_cast<int64_t>(sizeof *counters), 4096);
  char* memory = static_cast<char*>(std::aligned_alloc(4096, size * threads));
  if (!memory) return 2;
  std::memset(memory, 0, size * threads);
  *failure = {n_ops, 0, 0};
#pragma omp parallel num_threads(static_cast<int>(threads))
  {
    char* arena = memory + size * omp_get_thread_num();
    auto* own = reinterpret_cast<int64_t*>(arena + size) - n_counters;
    Context context{arena, arena + scratch, nullptr, nullptr, nullptr, {}};
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < n; ++i) {
      context.image = images + i * image_bytes;
      context.out = out + i * embed;
      for (int64_t k = 0; k < n_ops; ++k) {
        context.counters = counters ? own + k * kSteps : nullptr;
        if (step(ops[k], context)) continue;
        context.failure.op = k;
#pragma omp critical
        if (k < failure->op) *failure = context.failure;
        break;
      }
    }
#pragma omp critical
    for (int64_t i = 0; i < n_counters; ++i) counters[i] += own[i];
  }
  std::free(memory);
  return failure->op < n_ops;
}

}  // extern "C"
