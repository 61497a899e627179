extension Model {
  /// The model as the text of one file of C99, which needs only the C library: the parameters, and
  ///
  ///     void predict(const float inputs[4], float outputs[3]);
  ///
  /// (`double` for a float64 model), which computes the outputs of a row. It allocates nothing, and any number of
  /// threads may call it. Its outputs have the bits of ``predict(_:)``. With CHAINRULE_SELF_TEST defined, the file is a
  /// program that compares some outputs with the model's.
  ///
  /// - Parameter name: What the function is called. All other names are the file's own.
  /// - Throws: `ChainruleError.invalidValue` for a name that is no identifier or has a meaning in C;
  ///   `.invalidNetwork` for a custom layer, whose function is not C; `.notFinite` for a parameter that is NaN or
  ///   infinite.
  public func exportC(named name: String = "predict") throws(ChainruleError) -> String {
    guard isFree(name) else {
      throw .invalidValue(
        name: "name", value: name,
        expected:
          "a C identifier with a lower-case letter, other than C's own, and not beginning with an underscore or "
          + "cr_")
    }
    var export = CExport(model: self, name: name)
    return try export.text()
  }
}

/// A model on its way to C.
///
/// The value v of a row is what layer v hands on, counted from 1; value 0 is the row itself. Each value has a place: the
/// arguments of the function for the first and the last, a buffer for the others, which take turns.
private struct CExport<Scalar: NetworkScalar> {
  let model: Model<Scalar>
  let name: String
  let layers: [Layer]

  /// Definitions of the parameters.
  private var parameters = ""
  /// Statements of the function.
  private var statements = ""
  /// The size of each buffer.
  private var buffers: [Int] = []

  init(model: Model<Scalar>, name: String) {
    self.model = model
    self.name = name
    layers = model.layers
  }

  private var real: String { Scalar.scalarType == .float32 ? "float" : "double" }
  private var prototype: String {
    "void \(name)(const \(real) inputs[\(model.inputs)], \(real) outputs[\(model.outputs)])"
  }

  mutating func text() throws(ChainruleError) -> String {
    try addLayers()
    let functions = CElementaryFunctions(Scalar.scalarType).needed(by: statements)
    let headers = ["float", "math", "stddef", "stdint", "string"].map { "#include <\($0).h>\n" }.joined()
    let buffers = self.buffers.enumerated().map { "  \(real) a\($0 + 1)[\($1)];\n" }.joined()
    return try head + headers + "\n" + Self.pragmas + prototype + ";\n\n" + functions + parameters
      + "\(prototype)\n{\n\(buffers)\(statements)}\n" + selfTest()
  }

  // MARK: - Layers

  private mutating func addLayers() throws(ChainruleError) {
    let source = sources()
    var lastUse = [Int](repeating: 0, count: layers.count + 1)
    for (index, layer) in layers.enumerated() where source[index + 1] == index + 1 {
      lastUse[source[index]] = index
      if case .residual(let span) = layer { lastUse[source[index - span]] = index }
    }

    let last = source[layers.count]
    var places = [Int?](repeating: nil, count: layers.count + 1)  // buffers; nil: the function's arguments
    func place(_ value: Int) -> String {
      value == 0 ? "inputs" : value == last ? "outputs" : "a\(places[value]! + 1)"
    }
    for (index, layer) in layers.enumerated() where source[index + 1] == index + 1 {
      let shape = try model.parameters(ofLayer: index), x = source[index]
      if index + 1 != last {
        // All but the dense layers may write where they read.
        let busy = Set((1..<index + 1).filter { lastUse[$0] >= index && $0 != x }.compactMap { places[$0] })
        let own = layer.units == nil && lastUse[x] == index ? places[x] : nil
        let free = buffers.indices.first { !busy.contains($0) && $0 != places[x] }
        let buffer = own ?? free ?? buffers.count
        if buffer == buffers.count { buffers.append(0) }
        buffers[buffer] = max(buffers[buffer], shape.units)
        places[index + 1] = buffer
      }
      let joined = if case .residual(let span) = layer { place(source[index - span]) } else { "" }
      statements += "\n  /* layer \(index + 1): \(description(of: layer, shape)) */\n"
      try add(layer, number: index + 1, shape, from: place(x), joined: joined, to: place(index + 1))
    }
    if last == 0 { statements += "  memcpy(outputs, inputs, \(model.outputs) * sizeof *outputs);\n" }
  }

  /// The value that each value is equal to: of a layer that changes nothing, that of the one before.
  private func sources() -> [Int] {
    layers.enumerated().reduce(into: [0]) { source, layer in
      switch layer.element {
      case .dropout, .activation(.identity): source.append(source[layer.offset])
      default: source.append(layer.offset + 1)
      }
    }
  }

  private mutating func add(
    _ layer: Layer, number: Int, _ shape: LayerParameters<Scalar>, from x: String, joined: String,
    to y: String
  ) throws(ChainruleError) {
    /// Defines an array of the layer, and returns its name; `meaning` is a comment on what the name does not say.
    func define(
      _ what: String, _ values: [Scalar], columns: Int = 1, meaning: String? = nil
    ) throws(ChainruleError) -> String {
      let array = "cr_\(what)_\(number)"
      let place = "layer \(number), \(what)"
      let comment = meaning.map { "  /* \($0) */" } ?? ""
      parameters += "static const \(real) \(array)[\(values.count)] = {\(comment)\n"
      parameters += try listing(values, columns: columns, of: place, layer: number) + "};\n\n"
      return array
    }
    let n = shape.units
    switch layer {
    case .dense(let dense):
      let weights = try define(
        "weights", transposed(shape), columns: n, meaning: "W transposed, [\(shape.inputs)][\(n)]")
      let bias = if let bias = shape.bias { try define("bias", bias) } else { "NULL" }
      statements += "  cr_dense(\(shape.inputs), \(n), \(weights), \(bias), \(x), \(y));\n"
      activate(dense.activation, n, from: y, to: y)
    case .activation(let activation): activate(activation, n, from: x, to: y)
    case .batchNorm(let norm):
      let inverse = (shape.variance ?? []).map { 1 / ($0 + Scalar(norm.epsilon)).squareRoot() }
      let numbers = [
        try define("mean", shape.mean ?? []),
        try define("inverse", inverse, meaning: "1 / sqrt(variance + epsilon)"),
        try define("gamma", shape.gamma ?? []), try define("beta", shape.beta ?? []),
      ].joined(separator: ", ")
      statements += "  cr_normalize(\(n), \(numbers), \(x), \(y));\n"
    case .layerNorm(let norm):
      let gamma = try define("gamma", shape.gamma ?? []), beta = try define("beta", shape.beta ?? [])
      statements +=
        "  cr_normalize_row(\(n), \(literal(Scalar(norm.epsilon))), \(gamma), \(beta), \(x), \(y));\n"
    case .scaling:
      let mean = try define("mean", shape.mean ?? [])
      let inverse = try define(
        "inverse", (shape.deviation ?? []).map { 1 / $0 }, meaning: "1 / deviation")
      statements += "  cr_scale(\(n), \(mean), \(inverse), \(x), \(y));\n"
    case .residual: statements += "  for (size_t j = 0; j < \(n); j++) \(y)[j] = \(x)[j] + \(joined)[j];\n"
    case .dropout: break
    case .custom(let custom):
      throw .invalidNetwork(
        layer: number,
        reason:
          "layer \(number) is \(custom.name), a function of the program's own, which C cannot be made of")
    }
  }

  private mutating func activate(_ activation: Activation, _ n: Int, from x: String, to y: String) {
    switch activation {
    case .identity: break
    case .softmax: statements += "  cr_softmax(\(n), \(x), \(y));\n"
    default:
      statements += "  for (size_t j = 0; j < \(n); j++) \(y)[j] = cr_\(activation.rawValue)(\(x)[j]);\n"
    }
  }

  /// Wᵀ, [inputs][units]: what a compiler computes side by side, the neurons, lies side by side.
  private func transposed(_ shape: LayerParameters<Scalar>) -> [Scalar] {
    (0..<shape.weights.count).map { k in
      let (input, unit) = k.quotientAndRemainder(dividingBy: shape.units)
      return shape.weights[unit * shape.inputs + input]
    }
  }

  // MARK: - Comments and the self-test

  private var head: String {
    var lines = [
      "A neural network, written by Chainrule \(chainruleVersion).", "",
      "    \(prototype);", "",
      "computes the outputs of one row.  It allocates nothing, takes "
        + "\(buffers.reduce(0, +) * MemoryLayout<Scalar>.size) bytes of stack, and any number of threads may",
      "call it.  inputs and outputs must not overlap.", "",
      "The outputs have the bits of the model's on any machine with IEEE 754 arithmetic.  fma is one instruction",
      "where the compiler may use it (on x86-64: -mfma or -march=native), and a slow call elsewhere.  The self-test:",
      "", "    cc -O2 -DCHAINRULE_SELF_TEST FILE.c -lm && ./a.out", "",
    ]
    lines.append("inputs: \(model.inputs)")
    lines += numbered(model.featureNames)
    lines.append("layers: \(layers.count)")
    lines += layers.indices.map { index in
      let shape = try? model.parameters(ofLayer: index)
      return "  \(index + 1)  \(shape.map { description(of: layers[index], $0) } ?? "")"
    }
    lines.append(
      "outputs: \(model.outputs)\(model.classLabels == nil ? "" : ", one a class")")
    lines += numbered(model.classLabels ?? model.targetNames)
    return "/* " + lines.map(comment).joined(separator: "\n * ").replacing(" \n", with: "\n") + "\n */\n"
  }

  private func numbered(_ names: [String]?) -> [String] {
    (names ?? []).enumerated().map { "  [\($0)]  \($1)" }
  }

  /// "dense relu, 4 inputs, 64 units"
  private func description(of layer: Layer, _ shape: LayerParameters<Scalar>) -> String {
    switch layer {
    case .dense(let dense):
      "dense, W [\(shape.units)][\(shape.inputs)]\(dense.bias ? ", b [\(shape.units)]" : ""), "
        + dense.activation.rawValue
    case .activation(let activation): "\(activation.rawValue) of \(shape.units)"
    default: "\(comment("\(layer)")) of \(shape.units)"
    }
  }

  private static var pragmas: String {
    """
    #ifdef __FAST_MATH__
    #error "compile this file without -ffast-math, which does other arithmetic"
    #endif
    #if FLT_EVAL_METHOD == 1 || FLT_EVAL_METHOD == 2
    #error "compile this file for arithmetic of each type's own precision, on x86 with -msse2 -mfpmath=sse"
    #endif

    /* Only fma fuses a product with a sum. */
    #if defined __GNUC__ && !defined __clang__
    #pragma GCC optimize("fp-contract=off")
    #else
    #pragma STDC FP_CONTRACT OFF
    #endif


    """
  }

  /// Rows in ±2, by a first layer's own scale where there is one, and what the model predicts for them.
  private func selfTest() throws(ChainruleError) -> String {
    let count = 4
    var random = SplitMix64(seed: 1)
    let scaling: Scaling? = if case .scaling(let scaling) = layers[0] { scaling } else { nil }
    let rows = (0..<count * model.inputs).map { k in
      let x = Double.random(in: -2...2, using: &random), column = k % model.inputs
      return Scalar(scaling.map { $0.mean[column] + x * $0.deviation[column] } ?? x)
    }
    let expected = try model.predict(rows)
    let rowText = try listing(rows, columns: model.inputs, of: "a row of the self-test")
    let expectedText = try listing(
      expected, columns: model.outputs, of: "the prediction of the self-test's rows")
    return """

      #ifdef CHAINRULE_SELF_TEST
      #include <stdio.h>

      static const \(real) cr_rows[\(rows.count)] = {
      \(rowText)};

      /* The model's outputs. */
      static const \(real) cr_expected[\(expected.count)] = {
      \(expectedText)};

      int main(void)
      {
        int failures = 0;
        for (int row = 0; row < \(count); row++) {
          static \(real) outputs[\(model.outputs)];
          \(name)(&cr_rows[row * \(model.inputs)], outputs);
          for (int j = 0; j < \(model.outputs); j++) {
            const \(real) expected = cr_expected[row * \(model.outputs) + j];
            if (outputs[j] == expected) continue;
            printf("row %d, outputs[%d]: %a, expected %a\\n", row + 1, j, (double)outputs[j], (double)expected);
            failures++;
          }
        }
        printf("\(name): %d of \(expected.count) outputs are the model's\\n", \(expected.count) - failures);
        return failures > 0;
      }
      #endif

      """
  }
}

// MARK: - Numbers and names

extension CExport {
  /// An array's numbers, a line for each `columns` of them or for eight.
  private func listing(
    _ values: [Scalar], columns: Int, of what: String, layer: Int? = nil
  ) throws(ChainruleError) -> String {
    var text: [UInt8] = []
    for (index, value) in values.enumerated() {
      guard value.isFinite else {
        throw .notFinite(
          quantity: what, layer: layer, step: nil,
          message: "\(what): value \(index) is \(value.isNaN ? "NaN" : "infinite"), which C has no number for"
        )
      }
      let column = columns > 1 ? index % columns : index
      text += (column % 8 == 0 ? "    " : " ").utf8
      appendLiteral(value, to: &text)
      text.append(UInt8(ascii: ","))
      if column % 8 == 7 || columns > 1 && column == columns - 1 || index == values.count - 1 {
        text.append(UInt8(ascii: "\n"))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  private func literal(_ value: Scalar) -> String {
    var text: [UInt8] = []
    appendLiteral(value, to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  /// A finite number in hexadecimal, without rounding: -0x1.8p-3f.
  private func appendLiteral(_ value: Scalar, to text: inout [UInt8]) {
    let value = Double(value)
    if value.sign == .minus { text.append(UInt8(ascii: "-")) }
    text += (value.isNormal ? "0x1" : "0x0").utf8
    var fraction = value.significandBitPattern << 12
    if fraction != 0 { text.append(UInt8(ascii: ".")) }
    while fraction != 0 {
      let digit = UInt8(fraction >> 60)
      text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      fraction <<= 4
    }
    let exponent = value.isZero ? 0 : value.isNormal ? Int(value.exponent) : -1022
    text += "p\(exponent)".utf8
    if Scalar.scalarType == .float32 { text.append(UInt8(ascii: "f")) }
  }
}

private func comment(_ text: String) -> String { text.escaped(for: .cComment) }

/// Whether a function may have this name in C, with the headers that an exported file includes.
private func isFree(_ name: String) -> Bool {
  let isIdentifier =
    name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
        true
      default: false
      }
    } && name.first?.isNumber == false
  guard isIdentifier, !["_", "cr_", "CR_"].contains(where: name.hasPrefix) else { return false }
  guard name.contains(where: \.isLowercase) else { return false }  // Capitals are for macros, such as NAN.
  let forFloat = name.hasSuffix("f") || name.hasSuffix("l") ? String(name.dropLast()) : name
  return !taken.contains(name) && !mathematics.contains(forFloat)
}

/// Keywords of C, arguments of the function, and names of stddef.h, stdint.h, string.h and stdio.h.
private let taken = Set(
  """
  auto break case char const continue default do double else enum extern float for goto if inline int long register \
  restrict return short signed sizeof static struct switch typedef union unsigned void volatile while main inputs \
  outputs offsetof ptrdiff_t size_t wchar_t int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t \
  intptr_t uintptr_t intmax_t uintmax_t memchr memcmp memcpy memmove memset strcat strchr strcmp strcoll strcpy \
  strcspn strerror strlen strncat strncmp strncpy strpbrk strrchr strspn strstr strtok strxfrm \
  clearerr fclose feof ferror fflush fgetc fgetpos fgets fopen fpos_t fprintf fputc fputs fread freopen fscanf fseek \
  fsetpos ftell fwrite getc getchar gets perror printf putc putchar puts remove rename rewind scanf setbuf setvbuf \
  snprintf sprintf sscanf stderr stdin stdout tmpfile tmpnam ungetc vfprintf vfscanf vprintf vscanf vsnprintf vsprintf \
  vsscanf
  """.split(separator: " ").map(String.init))

/// Names of math.h, but for the f and l of other types.
private let mathematics = Set(
  """
  acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma fmax \
  fmin fmod fpclassify frexp hypot ilogb isfinite isgreater isgreaterequal isinf isless islessequal islessgreater \
  isnan isnormal isunordered ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint \
  nextafter nexttoward pow remainder remquo rint round scalbln scalbn signbit sin sinh sqrt tan tanh tgamma trunc j0 \
  j1 jn y0 y1 yn gamma scalb drem significand float_t double_t
  """.split(separator: " ").map(String.init))
