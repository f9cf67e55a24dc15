// Multi-step LIF, forward and backward through time, one pass over memory each.
//
// Elements are independent neurons; step t of neuron i is at t*n + i. The element type is float or
// bfloat16; the membrane is always float. With `broadcast` the input has one step, used at all T.
//
// Forward:  U_t = gain*I_t + decay*U_{t-1} - S_{t-1}*threshold          (subtract)
//           U_t = gain*I_t + decay*U_{t-1}*(1 - S_{t-1})                (zero: hard reset)
//           S_t = [U_t >= threshold]
// It stores G_t = dS_t/dU_t, the arctan surrogate, so that backward need not repeat the forward.
//
// The integer neuron is quantize/golden.py's, with the surrogate gradient beside it.

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

constexpr int kBlock = 512;
constexpr float kHalfPi = 1.57079632679489662f;

struct bf16 {
  uint16_t bits;
};

inline float load(float v) { return v; }
inline float load(bf16 v) {
  uint32_t word = static_cast<uint32_t>(v.bits) << 16;
  float out;
  std::memcpy(&out, &word, sizeof out);
  return out;
}
inline void store(float* p, float v) { *p = v; }
inline void store(bf16* p, float v) {
  uint32_t word;
  std::memcpy(&word, &v, sizeof word);
  word += 0x7fff + ((word >> 16) & 1);
  p->bits = static_cast<uint16_t>(word >> 16);
}

// What backward needs of step t: G_t, and for the hard reset also which neurons fired and U_t.
template <typename T, bool kZero>
void forward(const T* x, T* spikes, T* grads, T* membranes, int64_t n, int steps, bool broadcast, float decay,
             float gain, float threshold, float alpha) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t at = block * kBlock;
    const int m = static_cast<int>(n - at < kBlock ? n - at : kBlock);
    float u[kBlock] = {}, s[kBlock] = {};
    for (int t = 0; t < steps; ++t) {
      const T* xt = x + (broadcast ? 0 : t * n) + at;
      T* st = spikes + t * n + at;
      T* gt = grads ? grads + t * n + at : nullptr;
      T* ut = membranes ? membranes + t * n + at : nullptr;
      for (int i = 0; i < m; ++i) {
        const float old = kZero ? decay * u[i] * (1.0f - s[i]) : decay * u[i] - s[i] * threshold;
        u[i] = gain * load(xt[i]) + old;
        s[i] = u[i] >= threshold ? 1.0f : 0.0f;
        store(st + i, s[i]);
      }
      if (gt)
        for (int i = 0; i < m; ++i) {
          const float z = kHalfPi * alpha * (u[i] - threshold);
          store(gt + i, 0.5f * alpha / (1.0f + z * z));
        }
      if (ut)
        for (int i = 0; i < m; ++i) store(ut + i, u[i]);
    }
  }
}

// dL/dU_t = g_t G_t + dL/dU_{t+1} * dU_{t+1}/dU_t, with
//   dU_{t+1}/dU_t = decay - threshold*G_t                (subtract; second term 0 when detached)
//                 = decay*(1 - S_t) - decay*U_t*G_t      (zero; second term 0 when detached)
template <typename T, bool kZero>
void backward(const T* g, const T* grads, const T* spikes, const T* membranes, T* gx, int64_t n, int steps,
              bool broadcast, float decay, float gain, float threshold, bool detach) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
#pragma omp parallel for schedule(static)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t at = block * kBlock;
    const int m = static_cast<int>(n - at < kBlock ? n - at : kBlock);
    float du[kBlock] = {}, sum[kBlock] = {};
    for (int t = steps - 1; t >= 0; --t) {
      const T* gt = g + t * n + at;
      const T* Gt = grads + t * n + at;
      const T* st = spikes + t * n + at;
      const T* ut = membranes ? membranes + t * n + at : nullptr;
      for (int i = 0; i < m; ++i) {
        const float slope = load(Gt[i]);
        float carry = decay;
        if (kZero) carry *= 1.0f - load(st[i]);
        if (!detach) carry -= kZero ? decay * load(ut[i]) * slope : threshold * slope;
        du[i] = load(gt[i]) * slope + carry * du[i];
      }
      if (broadcast)
        for (int i = 0; i < m; ++i) sum[i] += gain * du[i];
      else
        for (int i = 0; i < m; ++i) store(gx + t * n + at + i, gain * du[i]);
    }
    if (broadcast)
      for (int i = 0; i < m; ++i) store(gx + at + i, sum[i]);
  }
}

}  // namespace

extern "C" {

#define SC_LIF(SUFFIX, TYPE)                                                                                       \
  void sc_lif_forward_##SUFFIX(const void* x, void* s, void* g, void* u, int64_t n, int steps, int broadcast,      \
                               float decay, float gain, float threshold, float alpha, int zero) {                  \
    const auto* in = static_cast<const TYPE*>(x);                                                                  \
    auto *os = static_cast<TYPE*>(s), *og = static_cast<TYPE*>(g), *ou = static_cast<TYPE*>(u);                    \
    if (zero)                                                                                                      \
      forward<TYPE, true>(in, os, og, ou, n, steps, broadcast, decay, gain, threshold, alpha);                     \
    else                                                                                                           \
      forward<TYPE, false>(in, os, og, ou, n, steps, broadcast, decay, gain, threshold, alpha);                    \
  }                                                                                                                \
  void sc_lif_backward_##SUFFIX(const void* g, const void* G, const void* s, const void* u, void* gx, int64_t n,   \
                                int steps, int broadcast, float decay, float gain, float threshold, int zero,      \
                                int detach) {                                                                      \
    const auto *gi = static_cast<const TYPE*>(g), *gs = static_cast<const TYPE*>(G);                               \
    const auto *sp = static_cast<const TYPE*>(s), *um = static_cast<const TYPE*>(u);                               \
    auto* out = static_cast<TYPE*>(gx);                                                                            \
    if (zero)                                                                                                      \
      backward<TYPE, true>(gi, gs, sp, um, out, n, steps, broadcast, decay, gain, threshold, detach);              \
    else                                                                                                           \
      backward<TYPE, false>(gi, gs, sp, um, out, n, steps, broadcast, decay, gain, threshold, detach);             \
  }

SC_LIF(f32, float)
SC_LIF(bf16, bf16)

// The integer neuron on currents in physical units: x is (steps or 1, rows, channels), channel innermost.
// One accumulator unit of channel c is worth 1/inverse_scale[c]; the grid has 2^frac_bits units for each.
// Threshold and bias count grid units; the leak is floor(k*V / 2^n). The slope is taken at the physical
// membrane U = gain*V*scale/2^F. `peak` returns the largest V or -V-1: the caller checks that k*V fits 32 bits.
void sc_lif_int_forward(const float* x, float* spikes, float* grads, int64_t rows, int channels, int steps,
                        int broadcast, const float* inverse_scale, int frac_bits, const int32_t* threshold,
                        const int32_t* bias, int leak_k, int leak_n, float gain, float alpha, float v_threshold,
                        int zero, int32_t* peak) {
  const int64_t n = rows * channels;
  const float fraction = static_cast<float>(1 << frac_bits);
  int32_t highest = 0;
#pragma omp parallel for schedule(static) reduction(max : highest)
  for (int64_t row = 0; row < rows; ++row) {
    for (int c0 = 0; c0 < channels; c0 += kBlock) {
      const int m = channels - c0 < kBlock ? channels - c0 : kBlock;
      const int64_t at = row * channels + c0;
      int32_t v[kBlock] = {}, s[kBlock] = {};
      float physical[kBlock];
      for (int i = 0; i < m; ++i) physical[i] = gain / (inverse_scale[c0 + i] * fraction);
      for (int t = 0; t < steps; ++t) {
        const float* xt = x + (broadcast ? 0 : t * n) + at;
        float* st = spikes + t * n + at;
        for (int i = 0; i < m; ++i) {
          const int c = c0 + i;
          const int32_t current = static_cast<int32_t>(std::nearbyint(xt[i] * inverse_scale[c]) * fraction) + bias[c];
          const int32_t leaked = (leak_k * v[i]) >> leak_n;
          v[i] = current + (zero ? leaked * (1 - s[i]) : leaked - s[i] * threshold[c]);
          s[i] = v[i] >= threshold[c] ? 1 : 0;
          st[i] = static_cast<float>(s[i]);
          const int32_t size = v[i] < 0 ? ~v[i] : v[i];  // -v would overflow at what a too large float casts to
          highest = size > highest ? size : highest;
        }
        if (grads) {
          float* gt = grads + t * n + at;
          for (int i = 0; i < m; ++i) {
            const float z = kHalfPi * alpha * (static_cast<float>(v[i]) * physical[i] - v_threshold);
            gt[i] = 0.5f * alpha / (1.0f + z * z);
          }
        }
      }
    }
  }
  *peak = highest;
}

}  // extern "C"
