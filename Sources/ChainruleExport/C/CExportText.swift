import Chainrule

/// The text of an export: comments, arrays, the function, its self-test and its header.
extension CExport {
  var real: String { Scalar.scalarType == .float32 ? "float" : "double" }

  private var prototype: String {
    "void \(name)(const \(real) inputs[\(model.inputs)], \(real) outputs[\(model.outputs)])"
  }

  /// Returns `declarations` with C linkage, also in C++.
  private func linkage(_ declarations: String) -> String {
    "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n\(declarations)\n#ifdef __cplusplus\n}\n#endif\n"
  }

  /// Passes the source to `send`, in pieces of about 64 KiB.
  func write(to send: @escaping ([UInt8]) throws(ChainruleError) -> Void) throws(ChainruleError) {
    let functions = CElementaryFunctions(Scalar.scalarType).needed(by: statements)
    let headers = ["float", "math", "stddef", "stdint", "string"].map { "#include <\($0).h>\n" }.joined()
    let buffers = self.buffers.enumerated().map { "  \(real) a\($0 + 1)[\($1)];\n" }.joined()
    var out = PieceWriter(send: send)
    try out.write(
      head(constants: functions.constants) + headers + "\n" + Self.pragmas + linkage("\(prototype);\n") + "\n"
        + functions.text)
    for (index, arrays) in arrays.enumerated() where !arrays.isEmpty {
      let parameters = try model.parameters(ofLayer: index)
      for array in arrays {
        let comment = array.meaning.map { "  /* \($0) */" } ?? ""
        try out.write("static const \(real) \(array.name)[\(array.count)] = {\(comment)\n")
        try write(array.count, columns: array.columns, to: &out) { array.value(parameters, $0) }
        try out.write("};\n\n")
      }
    }
    try out.write("\(prototype)\n{\n\(buffers)\(statements)}\n")
    try writeSelfTest(to: &out)
    try out.flush()
  }

  /// The text of the header.
  var header: String {
    let constants = CElementaryFunctions(Scalar.scalarType).needed(by: statements).constants
    let guardName = "CHAINRULE_\(name.uppercased())_H"
    let documentation = """
      /* Predicts one row.  It allocates nothing, and any number of threads may call it.
       *
       * inputs   \(model.inputs) numbers, in the order above; finite
       * outputs  receives \(model.outputs) numbers, in the order above; must not overlap inputs */

      """
    return head(constants: constants, isHeader: true) + "#ifndef \(guardName)\n#define \(guardName)\n\n"
      + linkage(documentation + "\(prototype);\n") + "\n#endif\n"
  }

  // MARK: - Comments

  private func head(constants: Int, isHeader: Bool = false) -> String {
    let size = MemoryLayout<Scalar>.size
    let parameters = arrays.joined().reduce(0) { $0 + $1.count }
    var lines = ["A neural network, written by Chainrule \(chainruleVersion).", "", "    \(prototype);", ""]
    if isHeader {
      lines += ["The source is the file that was written with this one.", ""]
    } else {
      lines += [
        "computes the outputs of one row.  It allocates nothing, and any number of threads may call it.  inputs and",
        "outputs must not overlap.", "",
        "The outputs have the bits of the model's on any machine with IEEE 754 arithmetic.  fma is one instruction",
        "where the compiler may use it (on x86-64: -mfma or -march=native), and a slow call elsewhere.  C99 or C++17.",
        "The self-test:",
        "", "    cc -O2 -DCHAINRULE_SELF_TEST FILE.c -lm && ./a.out", "",
      ]
    }
    let buffers = buffers.reduce(0, +) * size
    // Stack frames of the deepest calls (gelu's) and the size of all functions, as measured by
    // Tests/interop/test_c.py.
    let (frames, slowFrames) = Scalar.scalarType == .float32 ? (640, 896) : (768, 1408)
    lines += [
      "stack: at most \(buffers + frames) bytes with -O1, -O2, -O3 or -Os, \(buffers + slowFrames) with -O0; "
        + "\(buffers) of them are buffers",
      "flash: \((parameters + constants) * size) bytes of constants, and at most \(4096 + 128 * layers.count) bytes "
        + "of code with -Os or -O2",
      "(without what the C library's functions take, and arithmetic that the CPU does not have)", "",
    ]
    lines.append("inputs: \(model.inputs)")
    lines += numbered(model.featureNames)
    lines.append("layers: \(layers.count)")
    lines += layers.indices.map { "  \($0 + 1)  \(description(ofLayer: $0))" }
    lines.append("outputs: \(model.outputs)\(model.classLabels == nil ? "" : ", one a class")")
    lines += numbered(model.classLabels ?? model.targetNames)
    return "/* " + lines.map(comment).joined(separator: "\n * ").replacing(" \n", with: "\n") + "\n */\n"
  }

  private func comment(_ text: String) -> String { text.escaped(for: .cComment) }

  private func numbered(_ names: [String]?) -> [String] {
    (names ?? []).enumerated().map { "  [\($0)]  \($1)" }
  }

  /// Returns a description such as "dense, W [64][4], b [64], relu".
  func description(ofLayer index: Int) -> String {
    guard let shape = try? model.shape(ofLayer: index) else { return "" }
    return switch layers[index] {
    case .dense(let dense):
      "dense, W [\(shape.units)][\(shape.inputs)]\(dense.bias ? ", b [\(shape.units)]" : ""), "
        + dense.activation.rawValue
    case .activation(let activation): "\(activation.rawValue) of \(shape.units)"
    default: "\(comment("\(layers[index])")) of \(shape.units)"
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

  // MARK: - The self-test

  private func writeSelfTest(to out: inout PieceWriter) throws(ChainruleError) {
    let rows = tested.rows, outputs = tested.outputs
    let bits = Scalar.scalarType == .float32 ? "uint32_t" : "uint64_t"
    // Every printf has %lx; newlib's has no %a, and its small variant no 64-bit integers.
    let isFloat = Scalar.scalarType == .float32
    let format = isFloat ? "%08lx" : "%08lx%08lx"
    func words(_ bits: String) -> String {
      isFloat
        ? "(unsigned long)\(bits)" : "(unsigned long)(\(bits) >> 32), (unsigned long)(\(bits) & 0xffffffff)"
    }
    try out.write(
      """

      #ifdef CHAINRULE_SELF_TEST
      #include <stdio.h>

      static const \(real) cr_rows[\(rows.count)] = {

      """)
    try write(rows.count, columns: model.inputs, to: &out) { rows[$0] }
    try out.write(
      """
      };

      /* The model's outputs. */
      static const \(real) cr_expected[\(outputs.count)] = {

      """)
    try write(outputs.count, columns: model.outputs, to: &out) { outputs[$0] }
    try out.write(
      """
      };

      static \(bits) cr_pattern(\(real) x)
      {
        \(bits) pattern;
        memcpy(&pattern, &x, sizeof pattern);
        return pattern;
      }

      int main(void)
      {
        int failures = 0;
        for (int row = 0; row < \(rows.count / model.inputs); row++) {
          static \(real) outputs[\(model.outputs)];
          \(name)(&cr_rows[row * \(model.inputs)], outputs);
          for (int j = 0; j < \(model.outputs); j++) {
            const \(bits) found = cr_pattern(outputs[j]), expected = cr_pattern(cr_expected[row * \(model.outputs) + j]);
            if (found == expected) continue;
            printf("row %d, outputs[%d]: the bits are 0x\(format), expected 0x\(format)\\n", row + 1, j,
                   \(words("found")), \(words("expected")));
            failures++;
          }
        }
        printf("\(name): %d of \(outputs.count) outputs are the model's\\n", \(outputs.count) - failures);
        return failures > 0;
      }
      #endif

      """)
  }

  // MARK: - Numbers

  /// Writes an array's numbers, one line for every `columns` of them, or every eight.
  private func write(
    _ count: Int, columns: Int, to out: inout PieceWriter, value: (Int) -> Scalar
  ) throws(ChainruleError) {
    for index in 0..<count {
      let column = columns > 1 ? index % columns : index
      out.append(column % 8 == 0 ? "    " : " ")
      appendCLiteral(value(index), to: &out.bytes)
      let endsLine = column % 8 == 7 || columns > 1 && column == columns - 1 || index == count - 1
      try out.write(endsLine ? ",\n" : ",")
    }
  }
}

/// Collects text and passes it on in pieces of about 64 KiB, so that a large text is never completely in
/// memory.
private struct PieceWriter {
  let send: ([UInt8]) throws(ChainruleError) -> Void
  var bytes: [UInt8] = []

  init(send: @escaping ([UInt8]) throws(ChainruleError) -> Void) { self.send = send }

  mutating func append(_ text: String) { bytes += text.utf8 }

  mutating func write(_ text: String) throws(ChainruleError) {
    append(text)
    if bytes.count >= 65_536 { try flush() }
  }

  mutating func flush() throws(ChainruleError) {
    try send(bytes)
    bytes.removeAll(keepingCapacity: true)
  }
}

func cLiteral<Scalar: NetworkScalar>(_ value: Scalar) -> String {
  var text: [UInt8] = []
  appendCLiteral(value, to: &text)
  return String(decoding: text, as: UTF8.self)
}

/// Appends a finite number in hexadecimal, without rounding: -0x1.8p-3f.
private func appendCLiteral<Scalar: NetworkScalar>(_ value: Scalar, to text: inout [UInt8]) {
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
