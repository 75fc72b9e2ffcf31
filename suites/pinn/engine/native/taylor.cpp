// A fully connected network and operators of its inputs' derivatives, forward and backward.
//
// The mathematics is that of suites/pinn/engine/taylor.py. A block of rows goes through all layers
// while it is in a core's cache. Its features lie as [stream][feature][row], stream 0 being the
// values, so that every step of a product takes one weight times a vector of rows.
//
// The forward pass leaves each layer's pre-activations and their streams on a tape, and the backward
// pass takes activations and slopes from them anew. A tape of one block alone saves memory: the
// backward pass then repeats the forward pass of each block. Of the macros, ELEMENT is float or
// double, and ACTIVATION a struct of activations.h.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "activations.h"
#include "vector.h"

namespace {

using T = ELEMENT;
using V = Vector<T>;
constexpr int kLanes = Traits<V>::lanes;

// Registers of a product's tile: kTileOutputs × kTileVectors sums, within 32 registers of AVX-512
// or else 16.
#ifdef __AVX512F__
constexpr int kTileOutputs = 5, kTileVectors = 4;
#else
constexpr int kTileOutputs = 4, kTileVectors = 2;
#endif
constexpr int kStrip = kTileVectors * kLanes;
#ifndef STRIPS
#define STRIPS 1
#endif
constexpr int kBlock = STRIPS * kStrip;

// A tile of a weight gradient has as many entries as a vector has lanes.
constexpr int kGradientOutputs = kLanes >= 16 ? 4 : kLanes >= 4 ? kLanes / 2 : 2;
constexpr int kGradientInputs = kLanes / kGradientOutputs;

constexpr int kMostUnrolled = 6;  // streams

constexpr int up_to_multiple(int n, int of) { return (n + of - 1) / of * of; }
// Tiles of a weight gradient read whole multiples of features, and drop what is not there.
constexpr int padded(int features) { return up_to_multiple(features, 4); }

struct Free {
  void operator()(T* memory) const { std::free(memory); }
};
using Buffer = std::unique_ptr<T[], Free>;

Buffer make_buffer(size_t elements) {
  const size_t bytes = (std::max<size_t>(elements, 1) * sizeof(T) + 63) / 64 * 64;
  T* memory = static_cast<T*>(std::aligned_alloc(64, bytes));
  if (!memory) throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  return Buffer(memory);
}

// ---- Products ------------------------------------------------------------------------------------

// A matrix in panels of kTileOutputs outputs, each [input][output], as `multiply` reads it.
struct Panels {
  int inputs, outputs;
  Buffer memory;

  Panels(int inputs, int outputs)
      : inputs(inputs), outputs(outputs),
        memory(make_buffer(size_t(inputs) * up_to_multiple(outputs, kTileOutputs))) {}

  // weight[o·per_output + i·per_input] is from input i to output o.
  void pack(const T* weight, int per_output, int per_input) {
    for (int begin = 0; begin < outputs; begin += kTileOutputs) {
      T* panel = &memory[size_t(begin) * inputs];
      const int count = std::min(kTileOutputs, outputs - begin);
      for (int m = 0; m < count; ++m)
        for (int i = 0; i < inputs; ++i)
          panel[i * kTileOutputs + m] = weight[(begin + m) * per_output + i * per_input];
    }
  }
};

template <int outputs>
inline void multiply_tile(const T* panel, int inputs, const T* bias, const T* x, T* y) {
  V sums[outputs][kTileVectors];
  for (int m = 0; m < outputs; ++m)
    for (int v = 0; v < kTileVectors; ++v) sums[m][v] = broadcast<V>(bias ? bias[m] : T(0));
  for (int i = 0; i < inputs; ++i) {
    V in[kTileVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) in[v] = load<V>(x + i * kBlock + v * kLanes);
#pragma GCC unroll 8
    for (int m = 0; m < outputs; ++m) {
      const V weight = broadcast<V>(panel[i * kTileOutputs + m]);
#pragma GCC unroll 8
      for (int v = 0; v < kTileVectors; ++v) sums[m][v] = fma<V>(weight, in[v], sums[m][v]);
    }
  }
  for (int m = 0; m < outputs; ++m)
    for (int v = 0; v < kTileVectors; ++v) store<V>(y + m * kBlock + v * kLanes, sums[m][v]);
}

template <int most>
inline void multiply_rest(int outputs, const T* panel, int inputs, const T* bias, const T* x, T* y) {
  if constexpr (most > 0) {
    if (outputs == most) return multiply_tile<most>(panel, inputs, bias, x, y);
    multiply_rest<most - 1>(outputs, panel, inputs, bias, x, y);
  }
}

// y = matrix·x (+ bias), features of one stream.
void multiply(const Panels& matrix, const T* bias, const T* x, T* y) {
  for (int row = 0; row < kBlock; row += kStrip) {
    for (int begin = 0; begin < matrix.outputs; begin += kTileOutputs) {
      multiply_rest<kTileOutputs>(std::min(kTileOutputs, matrix.outputs - begin),
                                  &matrix.memory[size_t(begin) * matrix.inputs], matrix.inputs,
                                  bias ? bias + begin : nullptr, x + row,
                                  y + size_t(begin) * kBlock + row);
    }
  }
}

// The lanes of a and then of b in pairs: the even ones, or the odd ones.
template <int odd, size_t... lane>
inline V every_second(V a, V b, std::index_sequence<lane...>) {
#ifdef __clang__
  return __builtin_shufflevector(a, b, int(2 * lane + odd)...);
#else
  return __builtin_shuffle(a, b, Integers<V>{(2 * int(lane) + odd)...});
#endif
}

// Lane k of the result is the sum over the lanes of sums[k].
template <int count> inline V sum_lanes(const V* sums) {
  if constexpr (count == 1) {
    return sums[0];
  } else {
    V halves[count / 2];
#pragma GCC unroll 8
    for (int k = 0; k < count / 2; ++k) {
      const V a = sums[2 * k], b = sums[2 * k + 1];
      halves[k] = every_second<0>(a, b, std::make_index_sequence<kLanes>()) +
                  every_second<1>(a, b, std::make_index_sequence<kLanes>());
    }
    return sum_lanes<count / 2>(halves);
  }
}

// The gradient of a linear layer, summed over blocks.
struct Gradient {
  int inputs, outputs, tiles;  // tiles in a row
  Buffer weight;               // [tile][entry]
  Buffer bias;                 // [output][lane]

  Gradient(int inputs, int outputs)
      : inputs(inputs), outputs(outputs), tiles((inputs + kGradientInputs - 1) / kGradientInputs),
        weight(make_buffer(weights())), bias(make_buffer(size_t(outputs) * kLanes)) {}

  size_t weights() const {
    return size_t(up_to_multiple(outputs, kGradientOutputs)) * tiles * kGradientInputs;
  }

  void clear() {
    std::memset(weight.get(), 0, weights() * sizeof(T));
    std::memset(bias.get(), 0, size_t(outputs) * kLanes * sizeof(T));
  }

  // By the gradients of the outputs and the inputs, pointers to each stream's features.
  void add(int streams, const T* const* by_outputs, const T* const* in) {
    for (int o = 0; o < outputs; o += kGradientOutputs)
      for (int i = 0; i < inputs; i += kGradientInputs) add_tile(streams, by_outputs, in, o, i);
    for (int o = 0; o < outputs; ++o) {
      V sum = load<V>(&bias[size_t(o) * kLanes]);
      for (int row = 0; row < kBlock; row += kLanes)
        sum += load<V>(by_outputs[0] + size_t(o) * kBlock + row);
      store<V>(&bias[size_t(o) * kLanes], sum);
    }
  }

  void add_tile(int streams, const T* const* by_outputs, const T* const* in, int o, int i) {
    V sums[kLanes] = {};
    for (int s = 0; s < streams; ++s) {
      const T* const g = by_outputs[s] + size_t(o) * kBlock;
      const T* const x = in[s] + size_t(i) * kBlock;
      for (int row = 0; row < kBlock; row += kLanes) {
        V right[kGradientInputs];
#pragma GCC unroll 8
        for (int c = 0; c < kGradientInputs; ++c) right[c] = load<V>(x + c * kBlock + row);
#pragma GCC unroll 8
        for (int a = 0; a < kGradientOutputs; ++a) {
          const V left = load<V>(g + a * kBlock + row);
#pragma GCC unroll 8
          for (int c = 0; c < kGradientInputs; ++c)
            sums[a * kGradientInputs + c] = fma<V>(left, right[c], sums[a * kGradientInputs + c]);
        }
      }
    }
    T* const entries = &weight[(size_t(o) / kGradientOutputs * tiles + i / kGradientInputs) * kLanes];
    store<V>(entries, load<V>(entries) + sum_lanes<kLanes>(sums));
  }

  void write(T* to_weight, T* to_bias) const {
    for (int o = 0; o < outputs; ++o) {
      const T* row = &weight[size_t(o / kGradientOutputs) * tiles * kLanes];
      const int at = o % kGradientOutputs * kGradientInputs;
      for (int i = 0; i < inputs; ++i)
        to_weight[size_t(o) * inputs + i] =
            row[i / kGradientInputs * kLanes + at + i % kGradientInputs];
      T sum = 0;
      for (int lane = 0; lane < kLanes; ++lane) sum += bias[size_t(o) * kLanes + lane];
      to_bias[o] = sum;
    }
  }
};

// ---- Activations ---------------------------------------------------------------------------------

// Stream `stream` contains `factor`·D_a D_b.
struct Product {
  int stream, a, b;
  T factor;
};
using Products = std::vector<Product>;

constexpr int kGeneral = -1;  // a number of streams that is not known at compile time

template <int n> struct Registers {
  V values[n > 0 ? n : 1];
  explicit Registers(int) {}
};
template <> struct Registers<kGeneral> {
  std::vector<T> memory;
  V* values;
  explicit Registers(int count) : memory(size_t(count + 1) * kLanes) {
    void* at = memory.data();
    size_t space = memory.size() * sizeof(T);
    values = static_cast<V*>(std::align(alignof(V), size_t(count) * sizeof(V), at, space));
  }
};

template <int order> inline void slopes(V x, V* s) {
  constexpr int highest = ACTIVATION::highest;
  ACTIVATION::at<(order < highest ? order : highest)>(x, s);
}

constexpr bool kHas2 = ACTIVATION::highest >= 2, kHas3 = ACTIVATION::highest >= 3;

// h = σ of pre-activations z, both with their streams, `stride` apart.
template <int fixed, bool second>
void activate(int given, const T* z, T* h, int elements, size_t stride, const Products& products) {
  const int n = fixed == kGeneral ? given : fixed;
  Registers<fixed> out_registers(n), in_registers(n);
  V *const out = out_registers.values, *const in = in_registers.values;
  for (int e = 0; e < elements; e += kLanes) {
    V s[4];
    slopes<(fixed == 0 ? 0 : second ? 2 : 1)>(load<V>(z + e), s);
    store<V>(h + e, s[0]);
#pragma GCC unroll 8
    for (int k = 0; k < n; ++k) {
      in[k] = load<V>(z + (k + 1) * stride + e);
      out[k] = s[1] * in[k];
    }
    if constexpr (second && kHas2)
      for (const Product& p : products) out[p.stream] += (p.factor * s[2]) * in[p.a] * in[p.b];
#pragma GCC unroll 8
    for (int k = 0; k < n; ++k) store<V>(h + (k + 1) * stride + e, out[k]);
  }
}

// h as in `activate`, and g, in place, from the gradient of h to that of z.
template <int fixed, bool second>
void activate_back(int given, const T* z, T* h, T* g, int elements, size_t stride,
                   const Products& products) {
  const int n = fixed == kGeneral ? given : fixed;
  Registers<fixed> out_registers(n), in_registers(n), by_out_registers(n), by_in_registers(n);
  V *const out = out_registers.values, *const in = in_registers.values;
  V *const by_out = by_out_registers.values, *const by_in = by_in_registers.values;
  for (int e = 0; e < elements; e += kLanes) {
    V s[4];
    slopes<(fixed == 0 ? 1 : second ? 3 : 2)>(load<V>(z + e), s);
    store<V>(h + e, s[0]);
    V by_z = load<V>(g + e) * s[1], inner{};
#pragma GCC unroll 8
    for (int k = 0; k < n; ++k) {
      in[k] = load<V>(z + (k + 1) * stride + e);
      by_out[k] = load<V>(g + (k + 1) * stride + e);
      out[k] = s[1] * in[k];
      by_in[k] = s[1] * by_out[k];
      inner += in[k] * by_out[k];
    }
    if constexpr (fixed != 0 && kHas2) by_z += s[2] * inner;
    if constexpr (second && kHas2) {
      V curvature{};
      for (const Product& p : products) {
        const V weighted = p.factor * s[2];
        const V gradient = weighted * by_out[p.stream];
        const V both = in[p.a] * in[p.b];
        out[p.stream] += weighted * both;
        if constexpr (kHas3) curvature += p.factor * both * by_out[p.stream];
        by_in[p.a] += gradient * in[p.b];
        by_in[p.b] += gradient * in[p.a];
      }
      if constexpr (kHas3) by_z += s[3] * curvature;
    }
    store<V>(g + e, by_z);
#pragma GCC unroll 8
    for (int k = 0; k < n; ++k) {
      store<V>(h + (k + 1) * stride + e, out[k]);
      store<V>(g + (k + 1) * stride + e, by_in[k]);
    }
  }
}

// Calls `action` with the number of streams as a constant, and whether there are products.
template <int most, class Action> void with_constants(int streams, bool second, Action action) {
  if constexpr (most < 0) {
    second ? action.template operator()<kGeneral, true>()
           : action.template operator()<kGeneral, false>();
  } else if (streams == most) {
    if constexpr (most == 0) action.template operator()<0, false>();
    else second ? action.template operator()<most, true>() : action.template operator()<most, false>();
  } else {
    with_constants<most - 1>(streams, second, action);
  }
}

struct Activate {
  int streams;
  const T* z;
  T* h;
  int elements;
  size_t stride;
  const Products& products;
  template <int fixed, bool second> void operator()() const {
    activate<fixed, second>(streams, z, h, elements, stride, products);
  }
};

struct ActivateBack {
  int streams;
  const T* z;
  T *h, *g;
  int elements;
  size_t stride;
  const Products& products;
  template <int fixed, bool second> void operator()() const {
    activate_back<fixed, second>(streams, z, h, g, elements, stride, products);
  }
};

// ---- Network -------------------------------------------------------------------------------------

// Features at rows in the caller's memory: element (s, row, feature) is data[s·stream + …].
struct Columns {
  T* data;
  int64_t per_stream, per_row, per_feature;
};

class Network {
 public:
  Network(int layers, const int64_t* sizes, int streams, int products, const int64_t* positions,
          const double* factors, int64_t rows, int64_t derived, Columns values, Columns derivatives,
          bool uniform, bool tape)
      : layers_(layers), streams_(streams), rows_(rows), derived_(derived), uniform_(uniform), whole_tape_(tape),
        sizes_(sizes, sizes + layers + 1) {
    for (int p = 0; p < products; ++p)
      products_.push_back({int(positions[3 * p]), int(positions[3 * p + 1]),
                           int(positions[3 * p + 2]), T(factors[p])});
    size_t widest = 0, per_stream = 0, count = 0;
    for (int k = 0; k < layers; ++k) {
      forward_.emplace_back(sizes_[k], sizes_[k + 1]);
      backward_.emplace_back(sizes_[k + 1], sizes_[k]);
      gradients_.emplace_back(sizes_[k], sizes_[k + 1]);
      if (k > 0) widest = std::max(widest, size_of(k));
      before_.push_back(per_stream);
      if (k + 1 < layers) per_stream += size_of(k + 1);
      count += size_t(sizes_[k + 1]) * (sizes_[k] + 1);
    }
    widest = std::max(widest, size_of(layers));
    parameters_.resize(count);
    per_stream_ = per_stream;
    blocks_ = int((rows + kBlock - 1) / kBlock);
    derived_blocks_ = streams ? int((derived + kBlock - 1) / kBlock) : 0;
    tape_ = make_buffer(per_stream * (tape ? blocks_ + size_t(derived_blocks_) * streams
                                           : size_t(1) + streams));
    h_ = make_buffer(widest * (1 + streams));
    g_ = make_buffer(widest * (1 + streams));
    next_g_ = make_buffer(widest * (1 + streams));
    inputs_ = make_buffer(size_of(0) * blocks_);
    for (int b = 0; b < blocks_; ++b)
      gather(values, 0, b, rows_, sizes_[0], &inputs_[size_of(0) * b]);
    if (uniform) derivatives.per_row = 0;
    input_streams_ = make_buffer(size_of(0) * streams * (uniform ? 1 : derived_blocks_));
    for (int b = 0; b < (uniform ? 1 : derived_blocks_); ++b)
      for (int s = 0; s < streams; ++s)
        gather(derivatives, s, b, uniform ? kBlock : derived_, sizes_[0],
               &input_streams_[size_of(0) * (size_t(b) * streams + s)]);
  }

  // Parameters are those of each layer, weight and bias; outputs have a row beside a row.
  void forward(const T* const* parameters, T* values, T* derivatives) {
    keep(parameters);
    for (int b = 0; b < blocks_; ++b) {
      forward_block(b);
      const int last = layers_ - 1, n = streams_at(b);
      for (int s = 0; s <= n; ++s)
        multiply(forward_[last], s ? nullptr : bias(last), input_of(last, b, s),
                 &g_[s * size_of(layers_)]);
      scatter(0, b, rows_, values);
      for (int s = 0; s < n; ++s)
        scatter(s + 1, b, derived_, derivatives + size_t(s) * sizes_[layers_] * derived_);
    }
  }

  // Gradients of each layer's weight and bias by those of the outputs.
  void backward(const T* const* parameters, Columns by_values, Columns by_derivatives,
                T* const* gradients) {
    const bool repeat = !whole_tape_ || !kept(parameters);
    if (repeat) keep(parameters);
    for (int k = 1; k < layers_; ++k)
      backward_[k].pack(weight(k), 1, int(sizes_[k]));
    for (Gradient& gradient : gradients_) gradient.clear();
    for (int b = 0; b < blocks_; ++b) {
      if (repeat) forward_block(b);
      backward_block(b, by_values, by_derivatives);
    }
    for (int k = 0; k < layers_; ++k) gradients_[k].write(gradients[2 * k], gradients[2 * k + 1]);
  }

 private:
  int layers_, streams_;
  int64_t rows_, derived_;
  bool uniform_;     // the inputs' streams are the same at all rows
  bool whole_tape_;  // and not of one block
  std::vector<int64_t> sizes_;
  Products products_;
  int blocks_, derived_blocks_;
  std::vector<Panels> forward_, backward_;
  std::vector<Gradient> gradients_;
  std::vector<T> parameters_;   // of the last forward pass, whose pre-activations the tape has
  bool taped_ = false;
  std::vector<size_t> before_;  // elements of a stream's layers before each
  size_t per_stream_;           // and of all
  Buffer tape_, inputs_, input_streams_, h_, g_, next_g_;

  // Elements of a stream's features before layer k, of a block.
  size_t size_of(int k) const { return size_t(padded(int(sizes_[k]))) * kBlock; }
  int streams_at(int block) const { return block < derived_blocks_ ? streams_ : 0; }
  const T* weight(int layer) const {
    const T* at = parameters_.data();
    for (int k = 0; k < layer; ++k) at += sizes_[k + 1] * (sizes_[k] + 1);
    return at;
  }
  const T* bias(int layer) const { return weight(layer) + sizes_[layer + 1] * sizes_[layer]; }

  // Pre-activations of a layer, with their streams.
  T* pre_activations(int layer, int block) {
    if (!whole_tape_) return &tape_[before_[layer] * (1 + streams_at(block))];
    const size_t derived = std::min(block, derived_blocks_);
    return &tape_[per_stream_ * (block + derived * streams_) +
                  before_[layer] * (1 + streams_at(block))];
  }
  const T* input_of(int layer, int block, int stream) const {
    if (layer > 0) return &h_[stream * size_of(layer)];
    if (stream == 0) return &inputs_[size_of(0) * block];
    return &input_streams_[size_of(0) * (size_t(uniform_ ? 0 : block) * streams_ + stream - 1)];
  }

  void keep(const T* const* parameters) {
    T* to = parameters_.data();
    for (int k = 0; k < layers_; ++k) {
      forward_[k].pack(parameters[2 * k], int(sizes_[k]), 1);
      to = std::copy_n(parameters[2 * k], sizes_[k + 1] * sizes_[k], to);
      to = std::copy_n(parameters[2 * k + 1], sizes_[k + 1], to);
    }
    taped_ = true;
  }
  bool kept(const T* const* parameters) const {
    const T* at = parameters_.data();
    for (int k = 0; k < layers_; ++k) {
      const size_t weights = sizes_[k + 1] * sizes_[k], biases = sizes_[k + 1];
      if (std::memcmp(at, parameters[2 * k], weights * sizeof(T)) ||
          std::memcmp(at + weights, parameters[2 * k + 1], biases * sizeof(T)))
        return false;
      at += weights + biases;
    }
    return taped_;
  }

  // Leaves pre-activations on the tape, and the last activations in h.
  void forward_block(int block) {
    const int n = streams_at(block);
    for (int k = 0; k + 1 < layers_; ++k) {
      T* const z = pre_activations(k, block);
      const size_t stride = size_of(k + 1);
      for (int s = 0; s <= n; ++s)
        multiply(forward_[k], s ? nullptr : bias(k), input_of(k, block, s), z + s * stride);
      with_constants<kMostUnrolled>(
          n > kMostUnrolled ? kGeneral : n, !products_.empty(),
          Activate{n, z, h_.get(), int(sizes_[k + 1]) * kBlock, stride, products_});
    }
  }

  void backward_block(int block, Columns by_values, Columns by_derivatives) {
    const int n = streams_at(block);
    std::vector<const T*> gradients(n + 1), inputs(n + 1);
    for (int s = 0; s <= n; ++s)
      gather(s ? by_derivatives : by_values, s ? s - 1 : 0, block, s ? derived_ : rows_,
             sizes_[layers_], &g_[s * size_of(layers_)]);
    for (int k = layers_ - 1; k >= 0; --k) {
      if (k > 0) {
        const size_t stride = size_of(k);
        for (int s = 0; s <= n; ++s)
          multiply(backward_[k], nullptr, &g_[s * size_of(k + 1)], &next_g_[s * stride]);
        with_constants<kMostUnrolled>(
            n > kMostUnrolled ? kGeneral : n, !products_.empty(),
            ActivateBack{n, pre_activations(k - 1, block), h_.get(), next_g_.get(),
                         int(sizes_[k]) * kBlock, stride, products_});
      }
      for (int s = 0; s <= n; ++s) {
        gradients[s] = &g_[s * size_of(k + 1)];
        inputs[s] = input_of(k, block, s);
      }
      gradients_[k].add(n + 1, gradients.data(), inputs.data());
      std::swap(g_, next_g_);
    }
  }

  // Features of a block from the caller's rows; 0 beyond the last.
  static void gather(Columns from, int stream, int block, int64_t rows, int64_t features, T* to) {
    const int64_t begin = int64_t(block) * kBlock;
    const int64_t count = std::min<int64_t>(kBlock, rows - begin);
    for (int64_t f = 0; f < features; ++f) {
      const T* const column = from.data + stream * from.per_stream + f * from.per_feature;
      for (int64_t r = 0; r < count; ++r) to[f * kBlock + r] = column[(begin + r) * from.per_row];
      std::fill(to + f * kBlock + count, to + (f + 1) * kBlock, T(0));
    }
  }
  void scatter(int stream, int block, int64_t rows, T* to) const {
    const int64_t begin = int64_t(block) * kBlock;
    const int64_t count = std::min<int64_t>(kBlock, rows - begin);
    const T* const from = &g_[stream * size_of(layers_)];
    for (int64_t f = 0; f < sizes_[layers_]; ++f)
      std::copy_n(from + f * kBlock, count, to + f * rows + begin);
  }
};

}  // namespace

#define EXPORTED __attribute__((visibility("default")))

extern "C" {

// `strides` are elements per stream, row and feature. A null pointer: there is not enough memory.
EXPORTED void* taylor_create(int64_t layers, const int64_t* sizes, int64_t streams, int64_t products,
                    const int64_t* positions, const double* factors, int64_t rows, int64_t derived,
                    T* values, const int64_t* value_strides, T* derivatives,
                    const int64_t* derivative_strides, int64_t uniform, int64_t tape) {
  try {
    return new Network(
        int(layers), sizes, int(streams), int(products), positions, factors, rows, derived,
        {values, value_strides[0], value_strides[1], value_strides[2]},
        {derivatives, derivative_strides[0], derivative_strides[1], derivative_strides[2]},
        uniform != 0, tape != 0);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

EXPORTED void taylor_destroy(void* network) { delete static_cast<Network*>(network); }

EXPORTED void taylor_forward(void* network, const T* const* parameters, T* values, T* derivatives) {
  static_cast<Network*>(network)->forward(parameters, values, derivatives);
}

EXPORTED void taylor_backward(void* network, const T* const* parameters, T* by_values,
                     const int64_t* value_strides, T* by_derivatives,
                     const int64_t* derivative_strides, T* const* gradients) {
  static_cast<Network*>(network)->backward(
      parameters, {by_values, value_strides[0], value_strides[1], value_strides[2]},
      {by_derivatives, derivative_strides[0], derivative_strides[1], derivative_strides[2]},
      gradients);
}
}
