// A fully connected network and operators of its inputs' derivatives, forward and backward.
//
// The mathematics is that of suites/pinn/engine/taylor.py. A block of rows goes through all layers
// while it is in a core's cache. Its features lie as [strip][stream][feature][row], stream 0 being
// the values, so that every step of a product takes one weight times a vector of rows. One stream
// of one strip is called a sheet here.
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
#include <type_traits>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

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
constexpr int kStrip = 256 / sizeof(T);  // rows
constexpr size_t kBlockBytes = 96 << 10;  // of a layer's features in a block

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
  constexpr size_t line = 64, huge = size_t(2) << 20;
  const size_t wanted = std::max<size_t>(elements, 1) * sizeof(T);
  const size_t alignment = wanted >= huge ? huge : line;
  const size_t bytes = (wanted + alignment - 1) / alignment * alignment;
  T* memory = static_cast<T*>(std::aligned_alloc(alignment, bytes));
  if (!memory) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // The tape is read once and written once in each step: fewer pages to look up.
  if (alignment == huge) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
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

// Without it, GCC reads an operand from memory again for each of its uses.
#ifdef __x86_64__
inline void keep_in_register(V& x) { asm("" : "+v"(x)); }
#else
inline void keep_in_register(V&) {}
#endif

// The bias comes last, and the sums of few outputs, for which there are registers, are of every
// `chains`-th input each: so less is lost to rounding.
template <int outputs>
inline void multiply_tile(const T* panel, int inputs, const T* bias, const T* x, T* y) {
  constexpr int chains = outputs == 1 ? 4 : outputs == 2 ? 2 : 1;
  V sums[chains][outputs][kTileVectors] = {};
  for (int begin = 0; begin < inputs; begin += chains) {
#pragma GCC unroll 8
    for (int chain = 0; chain < chains; ++chain) {
      const int i = begin + chain;
      if (chains > 1 && i >= inputs) break;
      V in[kTileVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kTileVectors; ++v) in[v] = load<V>(x + i * kStrip + v * kLanes);
#pragma GCC unroll 8
      for (int m = 0; m < outputs; ++m) {
        const V weight = broadcast<V>(panel[i * kTileOutputs + m]);
#pragma GCC unroll 8
        for (int v = 0; v < kTileVectors; ++v)
          sums[chain][m][v] = fma<V>(weight, in[v], sums[chain][m][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < outputs; ++m) {
    const V offset = broadcast<V>(bias ? bias[m] : T(0));
#pragma GCC unroll 8
    for (int v = 0; v < kTileVectors; ++v) {
      V sum = sums[0][m][v];
#pragma GCC unroll 8
      for (int chain = 1; chain < chains; ++chain) sum += sums[chain][m][v];
      store<V>(y + m * kStrip + v * kLanes, sum + offset);
    }
  }
}

template <int most>
inline void multiply_rest(int outputs, const T* panel, int inputs, const T* bias, const T* x, T* y) {
  if constexpr (most > 0) {
    if (outputs == most) return multiply_tile<most>(panel, inputs, bias, x, y);
    multiply_rest<most - 1>(outputs, panel, inputs, bias, x, y);
  }
}

// y = matrix·x (+ bias), of one sheet.
void multiply(const Panels& matrix, const T* bias, const T* x, T* y) {
  for (int row = 0; row < kStrip; row += kTileVectors * kLanes) {
    for (int begin = 0; begin < matrix.outputs; begin += kTileOutputs) {
      multiply_rest<kTileOutputs>(std::min(kTileOutputs, matrix.outputs - begin),
                                  &matrix.memory[size_t(begin) * matrix.inputs], matrix.inputs,
                                  bias ? bias + begin : nullptr, x + row,
                                  y + size_t(begin) * kStrip + row);
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

  struct Sheet {
    const T *by_outputs, *in;
    bool values;
  };

  void add(const std::vector<Sheet>& sheets) {
    for (int o = 0; o < outputs; o += kGradientOutputs)
      for (int i = 0; i < inputs; i += kGradientInputs) add_tile(sheets, o, i);
    for (int o = 0; o < outputs; ++o) {
      V sum = load<V>(&bias[size_t(o) * kLanes]);
      for (const Sheet& sheet : sheets) {
        if (!sheet.values) continue;
        for (int row = 0; row < kStrip; row += kLanes)
          sum += load<V>(sheet.by_outputs + size_t(o) * kStrip + row);
      }
      store<V>(&bias[size_t(o) * kLanes], sum);
    }
  }

  void add_tile(const std::vector<Sheet>& sheets, int o, int i) {
    V sums[kLanes] = {};
    for (const Sheet& sheet : sheets) {
      const T* const g = sheet.by_outputs + size_t(o) * kStrip;
      const T* const x = sheet.in + size_t(i) * kStrip;
      for (int row = 0; row < kStrip; row += kLanes) {
        V right[kGradientInputs];
#pragma GCC unroll 8
        for (int c = 0; c < kGradientInputs; ++c) {
          right[c] = load<V>(x + c * kStrip + row);
          keep_in_register(right[c]);
        }
#pragma GCC unroll 8
        for (int a = 0; a < kGradientOutputs; ++a) {
          V left = load<V>(g + a * kStrip + row);
          keep_in_register(left);
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

// Whether slopes follow from the value: then the tape has that, and no pre-activation, and no other
// place has the value.
template <class A, class = void> struct ByValue : std::false_type {};
template <class A>
struct ByValue<A, std::void_t<decltype(A::template set_slopes<0, V>(V{}, nullptr))>>
    : std::true_type {};
constexpr bool kByValue = ByValue<ACTIVATION>::value;

template <int order> inline void slopes(V x, V* s) {
  constexpr int highest = ACTIVATION::highest;
  ACTIVATION::at<(order < highest ? order : highest)>(x, s);
}
// The same of what the tape has.
template <int order, class A = ACTIVATION> inline void taped_slopes(V kept, V* s) {
  if constexpr (ByValue<A>::value) A::template set_slopes<order, V>(kept, s);
  else slopes<order>(kept, s);
}

constexpr bool kHas2 = ACTIVATION::highest >= 2, kHas3 = ACTIVATION::highest >= 3;

// h = σ of pre-activations z, both with their streams, `stride` apart; kByValue: the value in place.
template <int fixed, bool second>
void activate(int given, T* z, T* h, int elements, size_t stride, const Products& products) {
  const int n = fixed == kGeneral ? given : fixed;
  Registers<fixed> out_registers(n), in_registers(n);
  V *const out = out_registers.values, *const in = in_registers.values;
  for (int e = 0; e < elements; e += kLanes) {
    V s[4];
    slopes<(fixed == 0 ? 0 : second ? 2 : 1)>(load<V>(z + e), s);
    store<V>((kByValue ? z : h) + e, s[0]);
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
    taped_slopes<(fixed == 0 ? 1 : second ? 3 : 2)>(load<V>(z + e), s);
    if constexpr (!kByValue) store<V>(h + e, s[0]);
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

// Calls `action` with the number of streams as a constant up to `most`, and whether there are
// products.
template <int most, class Action>
void with_constants(int streams, bool second, const Action& action) {
  if constexpr (most < 0) {
    second ? action.template operator()<kGeneral, true>()
           : action.template operator()<kGeneral, false>();
  } else if (streams == most) {
    if constexpr (most == 0) {
      action.template operator()<0, false>();
    } else {
      second ? action.template operator()<most, true>() : action.template operator()<most, false>();
    }
  } else {
    with_constants<most - 1>(streams, second, action);
  }
}

struct Activate {
  int streams;
  T *z, *h;
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
      : layers_(layers), streams_(streams), rows_(rows), derived_(derived), uniform_(uniform),
        whole_tape_(tape), sizes_(sizes, sizes + layers + 1) {
    for (int p = 0; p < products; ++p)
      products_.push_back({int(positions[3 * p]), int(positions[3 * p + 1]),
                           int(positions[3 * p + 2]), T(factors[p])});
    size_t count = 0;
    for (int k = 0; k < layers; ++k) {
      forward_.emplace_back(sizes_[k], sizes_[k + 1]);
      backward_.emplace_back(sizes_[k + 1], sizes_[k]);
      gradients_.emplace_back(sizes_[k], sizes_[k + 1]);
      before_.push_back(per_sheet_);
      if (k + 1 < layers) per_sheet_ += sheet(k + 1);
      count += size_t(sizes_[k + 1]) * (sizes_[k] + 1);
    }
    parameters_.resize(count);
    cut_blocks();
    const Block& last = blocks_.back();
    tape_ = make_buffer(per_sheet_ * (tape ? last.sheets_before + last.sheets() : most_sheets_));
    for (Buffer* buffer : {&h_, &g_, &next_g_}) *buffer = make_buffer(widest() * most_sheets_);

    const int strips = last.strip + last.strips;
    inputs_ = make_buffer(sheet(0) * strips);
    for (int strip = 0; strip < strips; ++strip)
      gather(values, 0, strip, rows, 0, &inputs_[sheet(0) * strip], true);
    // If one row stands for all, one strip does for all but the last.
    const int derived_strips = uniform ? std::min(strips_of(derived), 2) : strips_of(derived);
    if (uniform) derivatives.per_row = 0;
    input_streams_ = make_buffer(sheet(0) * streams * derived_strips);
    for (int strip = 0; strip < derived_strips; ++strip) {
      const int64_t skipped = int64_t(strips_of(derived) - derived_strips) * kStrip;
      for (int s = 0; s < streams; ++s)
        gather(derivatives, s, strip, derived - skipped, 0,
               &input_streams_[sheet(0) * (strip * streams + s)]);
    }
  }

  // Parameters are those of each layer, weight and bias; outputs have a row beside a row.
  void forward(const T* const* parameters, T* values, T* derivatives) {
    keep(parameters);
    const int64_t outputs = sizes_[layers_];
    for (const Block& block : blocks_) {
      for (int at = 0; at < block.strips; ++at) {
        forward_strip(block, at);
        multiply_strip(layers_ - 1, block, at, g_.get());
        for (int stream = 0; stream <= block.streams; ++stream) {
          const T* const from = &g_[stream * sheet(layers_)];
          if (stream == 0) scatter(from, block.strip + at, rows_, values);
          else
            scatter(from, block.strip + at, derived_,
                    derivatives + (stream - 1) * outputs * derived_);
        }
      }
    }
  }

  // Gradients of each layer's weight and bias by those of the outputs.
  void backward(const T* const* parameters, Columns by_values, Columns by_derivatives,
                T* const* gradients) {
    const bool repeat = !whole_tape_ || !kept(parameters);
    if (repeat) keep(parameters);
    for (int k = 1; k < layers_; ++k) backward_[k].pack(weight(k), 1, int(sizes_[k]));
    for (Gradient& gradient : gradients_) gradient.clear();
    for (const Block& block : blocks_) {
      for (int at = 0; repeat && at < block.strips; ++at) forward_strip(block, at);
      backward_block(block, by_values, by_derivatives);
    }
    for (int k = 0; k < layers_; ++k) gradients_[k].write(gradients[2 * k], gradients[2 * k + 1]);
  }

 private:
  // Strips that are computed together, all with the same number of streams.
  struct Block {
    int strip, strips, streams;
    size_t sheets_before;  // in blocks before

    size_t sheets() const { return size_t(strips) * (1 + streams); }
  };

  int layers_, streams_;
  int64_t rows_, derived_;
  bool uniform_;     // the inputs' streams are the same at all rows
  bool whole_tape_;  // and not of one block
  std::vector<int64_t> sizes_;
  Products products_;
  std::vector<Block> blocks_;
  size_t most_sheets_ = 0;  // of a block
  std::vector<Panels> forward_, backward_;
  std::vector<Gradient> gradients_;
  std::vector<T> parameters_;   // of the last forward pass, which the tape is of
  bool taped_ = false;
  std::vector<size_t> before_;  // elements of a sheet's hidden layers before each
  size_t per_sheet_ = 0;        // and of all
  Buffer tape_, inputs_, input_streams_, h_, g_, next_g_;

  // Elements of a sheet of the features before layer k.
  size_t sheet(int k) const { return size_t(padded(int(sizes_[k]))) * kStrip; }
  size_t widest() const {
    size_t most = 0;
    for (int k = 1; k <= layers_; ++k) most = std::max(most, sheet(k));
    return most;
  }
  static int strips_of(int64_t rows) { return int((rows + kStrip - 1) / kStrip); }

  void cut_blocks() {
    const size_t sheets = kBlockBytes / (widest() * sizeof(T));
    const int strips = strips_of(rows_), derived = streams_ ? strips_of(derived_) : 0;
    size_t before = 0;
    for (int strip = 0; strip < strips;) {
      const int streams = strip < derived ? streams_ : 0;
      const int most = std::max(1, int(sheets / (1 + streams)));
      const int end = std::min(strip + most, strip < derived ? derived : strips);
      blocks_.push_back({strip, end - strip, streams, before});
      before += blocks_.back().sheets();
      most_sheets_ = std::max(most_sheets_, blocks_.back().sheets());
      strip = end;
    }
  }

  // action(position in the block, strip, stream)
  template <class Action> static void for_sheets(const Block& block, Action action) {
    int at = 0;
    for (int strip = block.strip; strip < block.strip + block.strips; ++strip)
      for (int stream = 0; stream <= block.streams; ++stream) action(at++, strip, stream);
  }

  const T* weight(int layer) const {
    const T* at = parameters_.data();
    for (int k = 0; k < layer; ++k) at += sizes_[k + 1] * (sizes_[k] + 1);
    return at;
  }
  const T* bias(int layer) const { return weight(layer) + sizes_[layer + 1] * sizes_[layer]; }

  T* taped(int layer, const Block& block) {
    const size_t before = whole_tape_ ? block.sheets_before : 0;
    return &tape_[before * per_sheet_ + before_[layer] * block.sheets()];
  }
  const T* taped(int layer, const Block& block) const {
    return const_cast<Network*>(this)->taped(layer, block);
  }
  // Features before a layer of a stream, which is number `at` in h and `on_tape` in its block.
  const T* input_of(int layer, const Block& block, int at, int on_tape, int strip,
                    int stream) const {
    if (layer > 0 && stream == 0 && kByValue) return taped(layer - 1, block) + on_tape * sheet(layer);
    if (layer > 0) return &h_[at * sheet(layer)];
    if (stream == 0) return &inputs_[sheet(0) * strip];
    if (uniform_) strip = strip > 0 && strip + 1 == strips_of(derived_);
    return &input_streams_[sheet(0) * (strip * streams_ + stream - 1)];
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

  // A linear layer, on all streams of a strip, which is at a position in its block.
  void multiply_strip(int layer, const Block& block, int at, T* to) const {
    for (int stream = 0; stream <= block.streams; ++stream)
      multiply(forward_[layer], stream ? nullptr : bias(layer),
               input_of(layer, block, stream, at * (1 + block.streams) + stream, block.strip + at,
                        stream),
               to + stream * sheet(layer + 1));
  }

  // Leaves the tape, and the strip's last activations in h.
  void forward_strip(const Block& block, int at) {
    for (int k = 0; k + 1 < layers_; ++k) {
      const size_t stride = sheet(k + 1);
      T* const z = taped(k, block) + at * stride * (1 + block.streams);
      multiply_strip(k, block, at, z);
      with_constants<kMostUnrolled>(
          block.streams, !products_.empty(),
          Activate{block.streams, z, h_.get(), int(sizes_[k + 1]) * kStrip, stride, products_});
    }
  }

  void backward_block(const Block& block, Columns by_values, Columns by_derivatives) {
    std::vector<Gradient::Sheet> sheets(block.sheets());
    for_sheets(block, [&](int at, int strip, int stream) {
      T* const to = &g_[at * sheet(layers_)];
      if (stream) gather(by_derivatives, stream - 1, strip, derived_, layers_, to);
      else gather(by_values, 0, strip, rows_, layers_, to);
    });
    for (int k = layers_ - 1; k >= 0; --k) {
      if (k > 0) backward_layer(k, block);
      for_sheets(block, [&](int at, int strip, int stream) {
        sheets[at] = {&g_[at * sheet(k + 1)], input_of(k, block, at, at, strip, stream), stream == 0};
      });
      gradients_[k].add(sheets);
      std::swap(g_, next_g_);
    }
  }

  // Leaves the activations before a layer in h, and the gradient by what they are of in next_g.
  void backward_layer(int layer, const Block& block) {
    const size_t stride = sheet(layer), strip = stride * (1 + block.streams);
    for (int at = 0; at < block.strips; ++at) {
      for (int s = at * (1 + block.streams); s < (at + 1) * (1 + block.streams); ++s)
        multiply(backward_[layer], nullptr, &g_[s * sheet(layer + 1)], &next_g_[s * stride]);
      with_constants<kMostUnrolled>(
          block.streams, !products_.empty(),
          ActivateBack{block.streams, taped(layer - 1, block) + at * strip, &h_[at * strip],
                       &next_g_[at * strip], int(sizes_[layer]) * kStrip, stride, products_});
    }
  }

  // Features before layer k, of a strip of the caller's rows. Beyond the last, inputs repeat it, and
  // all else is 0: at an input that is not the caller's something may overflow, and 0·∞ is NaN.
  void gather(Columns from, int stream, int strip, int64_t rows, int k, T* to,
              bool repeat = false) const {
    const int64_t begin = int64_t(strip) * kStrip;
    const int64_t count = std::min<int64_t>(kStrip, rows - begin);
    for (int64_t f = 0; f < sizes_[k]; ++f) {
      const T* const column = from.data + stream * from.per_stream + f * from.per_feature;
      for (int64_t r = 0; r < count; ++r) to[f * kStrip + r] = column[(begin + r) * from.per_row];
      const T beyond = repeat ? to[f * kStrip + count - 1] : T(0);
      std::fill(to + f * kStrip + count, to + (f + 1) * kStrip, beyond);
    }
  }
  void scatter(const T* from, int strip, int64_t rows, T* to) const {
    const int64_t begin = int64_t(strip) * kStrip;
    const int64_t count = std::min<int64_t>(kStrip, rows - begin);
    for (int64_t f = 0; f < sizes_[layers_]; ++f)
      std::copy_n(from + f * kStrip, count, to + f * rows + begin);
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
