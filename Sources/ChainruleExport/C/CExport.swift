import Chainrule

extension Model {
  /// Returns the model as the text of one file of C99 or C++17, which needs only the C library: the
  /// parameters, and
  ///
  ///     void predict(const float inputs[4], float outputs[3]);
  ///
  /// (`double` for a float64 model). The function computes the outputs of a row. It allocates nothing, and
  /// any number of threads may call it. Its outputs have the same bits as ``predict(_:)``. With
  /// CHAINRULE_SELF_TEST defined, the file is a program that compares some outputs with the model's.
  ///
  /// The text is 5 to 6 times the size of the parameters; ``exportC(named:to:header:)`` writes it without
  /// having all of it in memory.
  ///
  /// - Parameter name: The name of the function. All other names are internal to the file.
  /// - Throws: `ChainruleError.invalidValue` for a name that is not a C identifier or has a meaning in C;
  ///   `.invalidNetwork` for a custom layer, whose function cannot be exported; `.notFinite` for a parameter
  ///   that is NaN or infinite.
  public func exportC(named name: String = "predict") throws(ChainruleError) -> String {
    var text: [UInt8] = []
    try exportC(named: name) { piece in text += piece }
    return String(decoding: text, as: UTF8.self)
  }

  /// Returns the text of a header for the file of ``exportC(named:)``: the declaration of the function for C
  /// and C++, with its documentation. Throws the same errors.
  public func exportCHeader(named name: String = "predict") throws(ChainruleError) -> String {
    try CExport(model: self, name: name).header
  }

  /// Writes the text of ``exportC(named:)`` piece by piece to a file, which replaces any file at `path`; the
  /// header likewise.
  ///
  /// - Parameters:
  ///   - name: The name of the function.
  ///   - path: The path of the source file.
  ///   - header: The path of the file for ``exportCHeader(named:)``; `nil` for none.
  /// - Throws: The errors of ``exportC(named:)``, and `ChainruleError.file` if the system refuses; earlier
  ///   files do not change then.
  public func exportC(
    named name: String = "predict", to path: String, header: String? = nil
  ) throws(ChainruleError) {
    let export = try CExport(model: self, name: name)
    let source = try FileReplacement(at: path)
    let declarations: FileReplacement? = if let header { try FileReplacement(at: header) } else { nil }
    try export.write { piece throws(ChainruleError) in try source.write(piece) }
    try declarations?.write(Array(export.header.utf8))
    try source.commit()
    try declarations?.commit()
  }

  /// Passes the text of ``exportC(named:)`` to `write`, piece by piece; an error of the model is thrown
  /// before the first piece.
  package func exportC(
    named name: String, into write: @escaping ([UInt8]) throws(ChainruleError) -> Void
  ) throws(ChainruleError) {
    try CExport(model: self, name: name).write(to: write)
  }
}

/// The plan of a model's export to C: the statements of its function, without the text of the parameters.
///
/// Value v of a row is the output of layer v, counted from 1; value 0 is the row itself. Each value has a
/// place: the arguments of the function for the first and the last, and reused buffers for the others.
struct CExport<Scalar: NetworkScalar> {
  let model: Model<Scalar>
  let name: String
  let layers: [Layer]
  /// The arrays of each layer.
  private(set) var arrays: [[CArray<Scalar>]] = []
  /// The statements of the function.
  private(set) var statements = ""
  /// The size of each buffer.
  private(set) var buffers: [Int] = []
  /// The rows of the self-test, and the model's outputs for them.
  private(set) var tested: (rows: [Scalar], outputs: [Scalar]) = ([], [])

  init(model: Model<Scalar>, name: String) throws(ChainruleError) {
    guard isFreeInC(name) else {
      throw .invalidValue(
        name: "name", value: name,
        expected:
          "a C identifier with a lower-case letter, other than C's own, and not beginning with an underscore or "
          + "cr_")
    }
    self.model = model
    self.name = name
    layers = model.layers
    try addLayers()
    try checkParameters()
    tested = try rowsOfSelfTest()
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
    var places = [Int?](repeating: nil, count: layers.count + 1)  // buffers; nil for the function's arguments
    func place(_ value: Int) -> String {
      value == 0 ? "inputs" : value == last ? "outputs" : "a\(places[value]! + 1)"
    }
    arrays = Array(repeating: [], count: layers.count)
    for (index, layer) in layers.enumerated() where source[index + 1] == index + 1 {
      let shape = try model.shape(ofLayer: index), x = source[index]
      if index + 1 != last {
        // All layers except the dense ones can work in place.
        let busy = Set((1..<index + 1).filter { lastUse[$0] >= index && $0 != x }.compactMap { places[$0] })
        let own = layer.units == nil && lastUse[x] == index ? places[x] : nil
        let free = buffers.indices.first { !busy.contains($0) && $0 != places[x] }
        let buffer = own ?? free ?? buffers.count
        if buffer == buffers.count { buffers.append(0) }
        buffers[buffer] = max(buffers[buffer], shape.units)
        places[index + 1] = buffer
      }
      let joined = if case .residual(let span) = layer { place(source[index - span]) } else { "" }
      statements += "\n  /* layer \(index + 1): \(description(ofLayer: index)) */\n"
      try add(layer, number: index + 1, shape, from: place(x), joined: joined, to: place(index + 1))
    }
    if last == 0 { statements += "  memcpy(outputs, inputs, \(model.outputs) * sizeof *outputs);\n" }
  }

  /// Returns, for each value, the value it equals: for a layer that changes nothing, the value before it.
  private func sources() -> [Int] {
    layers.enumerated().reduce(into: [0]) { source, layer in
      switch layer.element {
      case .dropout, .activation(.identity): source.append(source[layer.offset])
      default: source.append(layer.offset + 1)
      }
    }
  }

  private mutating func add(
    _ layer: Layer, number: Int, _ shape: (inputs: Int, units: Int), from x: String, joined: String,
    to y: String
  ) throws(ChainruleError) {
    let n = shape.units
    /// Defines an array of the layer, with n numbers unless a count is given, and returns its name; `meaning`
    /// is a comment on whatever the name does not say.
    func define(
      _ what: String, count: Int? = nil, columns: Int = 1, meaning: String? = nil,
      _ value: @escaping (LayerParameters<Scalar>, Int) -> Scalar
    ) -> String {
      let array = CArray(
        name: "cr_\(what)_\(number)", what: what, count: count ?? n, columns: columns, meaning: meaning,
        value: value)
      arrays[number - 1].append(array)
      return array.name
    }
    switch layer {
    case .dense(let dense):
      // Wᵀ, [inputs][units]: the neurons, which a compiler vectorises, are contiguous.
      let weights = define(
        "weights", count: shape.inputs * n, columns: n, meaning: "W transposed, [\(shape.inputs)][\(n)]"
      ) { parameters, k in
        let (input, unit) = k.quotientAndRemainder(dividingBy: n)
        return parameters.weights[unit * shape.inputs + input]
      }
      let bias = dense.bias ? define("bias") { $0.bias![$1] } : "NULL"
      statements += "  cr_dense(\(shape.inputs), \(n), \(weights), \(bias), \(x), \(y));\n"
      activate(dense.activation, n, from: y, to: y)
    case .activation(let activation): activate(activation, n, from: x, to: y)
    case .batchNorm(let norm):
      let numbers = [
        define("mean") { $0.mean![$1] },
        define("inverse", meaning: "1 / sqrt(variance + epsilon)") {
          1 / ($0.variance![$1] + Scalar(norm.epsilon)).squareRoot()
        },
        define("gamma") { $0.gamma![$1] }, define("beta") { $0.beta![$1] },
      ].joined(separator: ", ")
      statements += "  cr_normalize(\(n), \(numbers), \(x), \(y));\n"
    case .layerNorm(let norm):
      let gamma = define("gamma") { $0.gamma![$1] }, beta = define("beta") { $0.beta![$1] }
      statements +=
        "  cr_normalize_row(\(n), \(cLiteral(Scalar(norm.epsilon))), \(gamma), \(beta), \(x), \(y));\n"
    case .scaling:
      let mean = define("mean") { $0.mean![$1] }
      let inverse = define("inverse", meaning: "1 / deviation") { 1 / $0.deviation![$1] }
      statements += "  cr_scale(\(n), \(mean), \(inverse), \(x), \(y));\n"
    case .residual: statements += "  for (size_t j = 0; j < \(n); j++) \(y)[j] = \(x)[j] + \(joined)[j];\n"
    case .dropout: break
    case .custom(let custom):
      throw .invalidNetwork(
        layer: number,
        reason:
          "layer \(number) is \(custom.name), an activation that is a Swift function, which cannot be written as C"
      )
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

  // MARK: - Numbers

  /// Throws for NaN and infinity, for which C has no literals.
  private func checkParameters() throws(ChainruleError) {
    for (index, arrays) in arrays.enumerated() where !arrays.isEmpty {
      let parameters = try model.parameters(ofLayer: index)
      for array in arrays {
        try check(array.count, of: "layer \(index + 1), \(array.what)", layer: index + 1) {
          array.value(parameters, $0)
        }
      }
    }
  }

  private func check(
    _ count: Int, of what: String, layer: Int? = nil, value: (Int) -> Scalar
  ) throws(ChainruleError) {
    guard let index = (0..<count).first(where: { !value($0).isFinite }) else { return }
    throw .notFinite(
      quantity: what, layer: layer, step: nil,
      message:
        "\(what): value \(index + 1) is \(value(index).isNaN ? "NaN" : "infinite"), for which C has no literal"
    )
  }

  /// Returns four rows in ±2, scaled by the numbers of the first layer if it is a scaling.
  private func rowsOfSelfTest() throws(ChainruleError) -> (rows: [Scalar], outputs: [Scalar]) {
    var random = SplitMix64(seed: 1)
    let scaling: Scaling? = if case .scaling(let scaling) = layers[0] { scaling } else { nil }
    let rows = (0..<4 * model.inputs).map { k in
      let x = Double.random(in: -2...2, using: &random), column = k % model.inputs
      return Scalar(scaling.map { $0.mean[column] + x * $0.deviation[column] } ?? x)
    }
    try check(rows.count, of: "a row of the self-test") { rows[$0] }
    let outputs = try model.predict(rows)
    try check(outputs.count, of: "the prediction of the self-test's rows") { outputs[$0] }
    return (rows, outputs)
  }
}

/// A constant array of the source: `static const float cr_weights_1[6]`.
struct CArray<Scalar: NetworkScalar> {
  let name: String
  /// The kind of the numbers: weights, bias, ….
  let what: String
  let count: Int
  /// The number of values per line of the source; 1: as many as fit.
  let columns: Int
  let meaning: String?
  /// Returns the number at an index from the layer's parameters.
  let value: (LayerParameters<Scalar>, Int) -> Scalar
}

/// Whether a function may have this name in C, given the headers that an exported file includes.
private func isFreeInC(_ name: String) -> Bool {
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

/// Names of math.h, without the suffixes f and l of other types.
private let mathematics = Set(
  """
  acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma fmax \
  fmin fmod fpclassify frexp hypot ilogb isfinite isgreater isgreaterequal isinf isless islessequal islessgreater \
  isnan isnormal isunordered ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint \
  nextafter nexttoward pow remainder remquo rint round scalbln scalbn signbit sin sinh sqrt tan tanh tgamma trunc j0 \
  j1 jn y0 y1 yn gamma scalb drem significand float_t double_t
  """.split(separator: " ").map(String.init))
