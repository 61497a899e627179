import Foundation
import TestSupport
import Testing

@testable import Chainrule
@testable import ChainruleExport

/// A network and rows for it, in one of the scalar types.
private enum Case {
  case float32(Model<Float>, rows: [Float])
  case float64(Model<Double>, rows: [Double])

  /// Writes the source and the header into a folder.
  func export(named name: String, to folder: URL) throws {
    let (source, header) = ("\(folder.path)/\(name).c", "\(folder.path)/\(name).h")
    switch self {
    case .float32(let model, _): try model.exportC(named: name, to: source, header: header)
    case .float64(let model, _): try model.exportC(named: name, to: source, header: header)
    }
  }

  /// Statements that apply the function to rows from standard input.
  func driver(named name: String) -> String {
    func driver(_ real: String, _ inputs: Int, _ outputs: Int, _ rows: Int) -> String {
      """
        for (int row = 0; row < \(rows); row++) {
          static \(real) x[\(inputs)], y[\(outputs)];
          if (fread(x, sizeof *x, \(inputs), stdin) != \(inputs)) return 1;
          \(name)(x, y);
          if (fwrite(y, sizeof *y, \(outputs), stdout) != \(outputs)) return 1;
        }

      """
    }
    return switch self {
    case .float32(let model, let rows):
      driver("float", model.inputs, model.outputs, rows.count / model.inputs)
    case .float64(let model, let rows):
      driver("double", model.inputs, model.outputs, rows.count / model.inputs)
    }
  }

  var layers: [Layer] {
    switch self {
    case .float32(let model, _): model.layers
    case .float64(let model, _): model.layers
    }
  }

  var input: Data {
    switch self {
    case .float32(_, let rows): rows.withUnsafeBytes { Data($0) }
    case .float64(_, let rows): rows.withUnsafeBytes { Data($0) }
    }
  }

  /// The outputs of the model whose bits are not the next of `output`, NaN being like NaN; and what comes
  /// behind these.
  func differences(_ output: inout Data) throws -> [String] {
    func compare<Scalar: NetworkScalar>(_ model: Model<Scalar>, _ rows: [Scalar]) throws -> [String] {
      let expected = try model.predict(rows), bytes = expected.count * MemoryLayout<Scalar>.size
      guard output.count >= bytes else { return ["\(output.count) bytes of \(bytes)"] }
      var values = [Scalar](repeating: 0, count: expected.count)
      _ = values.withUnsafeMutableBytes { output.prefix(bytes).copyBytes(to: $0) }
      output = output.dropFirst(bytes)
      return expected.indices.filter { index in
        let (value, wanted) = (values[index], expected[index])
        return !(value == wanted && value.sign == wanted.sign || value.isNaN && wanted.isNaN)
      }.prefix(3).map {
        "\(rows.count == values.count ? "f(\(rows[$0]))" : "\($0)"): \(values[$0]), not \(expected[$0])"
      }
    }
    return switch self {
    case .float32(let model, let rows): try compare(model, rows)
    case .float64(let model, let rows): try compare(model, rows)
    }
  }
}

/// A folder of its own for C, removed with it.
private final class Workshop {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("c-export-\(UUID().uuidString)")

  init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false) }
  deinit { try? FileManager.default.removeItem(at: folder) }

  func write(_ text: String, to name: String) throws {
    try Data(text.utf8).write(to: folder.appendingPathComponent(name))
  }

  /// Runs a program here, and returns its exit status and what it wrote.
  func run(_ program: String, _ arguments: [String], input: Data = Data()) throws -> (Int32, Data) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.currentDirectoryURL = folder
    let (from, to) = (folder.appendingPathComponent("input"), folder.appendingPathComponent("output"))
    try input.write(to: from)
    try Data().write(to: to)
    process.standardInput = try FileHandle(forReadingFrom: from)
    process.standardOutput = try FileHandle(forWritingTo: to)
    process.standardError = process.standardOutput
    try process.run()
    process.waitUntilExit()
    return (process.terminationStatus, try Data(contentsOf: to))
  }

  /// Compiles all there is into `program`; a warning is an error.
  func compile(_ compilation: Compilation, _ options: String...) throws {
    let sources = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter {
      $0.hasSuffix(".c")
    }
    let arguments =
      compilation.options + options + ["-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror"] + sources
      + ["-lm", "-o", "program"]
    let (status, output) = try run(compilation.compiler, arguments)
    try #require(status == 0, "\(compilation): \(String(decoding: output.prefix(2000), as: UTF8.self))")
  }

  func runProgram(input: Data = Data()) throws -> (status: Int32, output: Data) {
    try run(folder.appendingPathComponent("program").path, [], input: input)
  }
}

/// A compiler and how it is told to compile.
private struct Compilation: CustomTestStringConvertible {
  let compiler: String
  let options: [String]

  var testDescription: String { ([compiler] + options).joined(separator: " ") }

  /// Of those at hand. With gnu99 and the CPU's own instructions, gcc fuses products with sums unless the
  /// file forbids it.
  static let all = ["cc", "gcc", "clang", "g++", "clang++"].compactMap { name -> (String, String)? in
    let folders = ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":") ?? []
    return folders.map { "\($0)/\(name)" }.first(where: FileManager.default.isExecutableFile).map {
      (name, $0)
    }
  }.flatMap { name, path in
    switch name {
    case "cc": [Compilation(compiler: path, options: ["-std=c99", "-O0"])]
    case "gcc": [Compilation(compiler: path, options: ["-std=gnu99", "-O2", "-march=native"])]
    case "clang": [Compilation(compiler: path, options: ["-std=c99", "-O2", "-DCHAINRULE_OWN_FMA=1"])]
    case "g++":
      [Compilation(compiler: path, options: ["-std=c++17", "-O1", "-DCHAINRULE_OWN_FMA=1", "-x", "c++"])]
    default: [Compilation(compiler: path, options: ["-std=c++17", "-O2", "-x", "c++"])]
    }
  }
}

/// A program that compares cr_fma with math.h's for 4,000,000 random sums of the kinds that are hard to
/// round.
private let hardSums = """
  static uint64_t state;

  static int below(int count)
  {
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (int)((z ^ z >> 31) % (uint64_t)count);
  }

  /* a number of this exponent, whose fraction is 0, all ones, random, or has one or two bits set or one clear */
  static REAL number(int exponent)
  {
    const BITS one = 1, ones = (one << FRACTION) - 1, most = 2 * BIAS + 1;
    BITS bits = 0;
    const int kind = below(6);
    if (kind == 1) bits = ones;
    if (kind == 2)
      for (int i = 0; i < FRACTION; i++) bits |= (BITS)below(2) << i;
    if (kind >= 3) bits = one << below(FRACTION);
    if (kind == 4) bits = ones - bits;
    if (kind == 5) bits |= one << below(FRACTION);
    if (exponent > 0) bits |= ((BITS)exponent < most ? (BITS)exponent : most) << FRACTION;
    bits |= (BITS)below(2) << (WORD - 1);
    REAL x;
    memcpy(&x, &bits, sizeof x);
    return x;
  }

  int main(void)
  {
    const int count = 4000000, exponents = 2 * BIAS + 2;
    for (int i = 0; i < count; i++) {
      const int kind = below(6), e = kind == 0 ? below(3) : kind == 1 ? BIAS + below(7) - 3 : below(exponents);
      /* the product anywhere, near 1, near the largest number, among the denormal ones */
      const int f = kind == 1   ? BIAS + below(7) - 3
                    : kind == 2 ? 2 * BIAS - e + below(5) - 2
                    : kind == 3 ? 3 * BIAS - e + below(5) - 2
                    : kind == 4 ? BIAS - e + below(2 * FRACTION) - FRACTION
                                : below(exponents);
      const REAL x = number(e), y = number(f);
      REAL z = number(below(3) == 0 ? below(exponents) : e + f - BIAS + below(4 * FRACTION) - 2 * FRACTION);
      if (below(4) == 0) {
        /* the product rounded, or one of its neighbours */
        z = -(x * y);
        BITS bits;
        memcpy(&bits, &z, sizeof bits);
        bits += (BITS)below(3);
        bits -= (BITS)below(3);
        memcpy(&z, &bits, sizeof z);
      }
      const REAL found = cr_fma(x, y, z), expected = LIBRARY_FMA(x, y, z);
      if (memcmp(&found, &expected, sizeof found) == 0 || (found != found && expected != expected)) continue;
      printf("fma(%a, %a, %a) is %a, expected %a\\n", (double)x, (double)y, (double)z, (double)found, (double)expected);
      return 1;
    }
    printf("%d sums\\n", count);
    return 0;
  }

  """

@Suite("Export to C", .enabled(if: !Compilation.all.isEmpty, "there is no C compiler"))
struct CExportTests {
  private static var random: SplitMix64 { SplitMix64(seed: 7) }

  /// A network of one activation; on it numbers of any bits, and others as networks have them.
  private func activationCase<Scalar: NetworkScalar>(
    _ activation: Activation, bits: (inout SplitMix64) -> Scalar
  ) throws -> (Model<Scalar>, [Scalar]) {
    var random = Self.random
    let model = try Model(Network<Scalar>(inputs: 16, layers: [.activation(activation)]))
    let special: [Scalar] = [
      0, -0.0, 1, -1, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, 88.9, -104, 710, -746,
    ]
    let rows = (0..<128 * 16).map { index -> Scalar in
      if index < special.count { return special[index] }
      if index % 2 == 0 { return Scalar(Double.random(in: -12...12, using: &random)) }
      while true {
        let value = bits(&random)
        if value.isFinite { return value }
      }
    }
    return (model, rows)
  }

  /// A network of these layers with random parameters and statistics, and rows.
  private func networkCase<Scalar: NetworkScalar>(
    inputs: Int, _ layers: [Layer], _: Scalar.Type
  ) throws -> (Model<Scalar>, [Scalar]) {
    var random = Self.random
    let network = try Network<Scalar>(inputs: inputs, layers: layers, seed: 3)
    for layer in layers.indices {
      var parameters = try network.parameters(ofLayer: layer)
      for statistic in [\LayerParameters<Scalar>.bias, \.gamma, \.beta, \.mean, \.variance]
      where parameters[keyPath: statistic] != nil {
        parameters[keyPath: statistic] = (0..<parameters.units).map { _ in
          Scalar(Double.random(in: 0.1...2, using: &random))
        }
      }
      try network.setParameters(parameters, ofLayer: layer)
    }
    return (
      try Model(network),
      (0..<7 * inputs).map { _ in Scalar(Double.random(in: -3...3, using: &random)) }
    )
  }

  private static let architectures: [(inputs: Int, layers: [Layer])] = [
    (1, [.dense(Dense(1))]),
    (3, [.dropout(Dropout(0.5))]),
    (
      3,
      [
        .dropout(Dropout(0.5)), .activation(.identity), .layerNorm(LayerNorm(epsilon: 0.01)),
        .dropout(Dropout(0.1)),
      ]
    ),
    (
      5,
      [
        .scaling(Scaling(mean: [1, 2, 3, 4, 5], deviation: [0.1, 3, 7, 1, 2])),
        .dense(Dense(33, activation: .tanh, bias: false)), .dropout(Dropout(0.2)),
        .dense(Dense(17, bias: false)), .batchNorm(BatchNorm(epsilon: 0.003)), .activation(.gelu),
        .dense(Dense(9, activation: .softmax)),
      ]
    ),
    (
      8,
      [
        .batchNorm(BatchNorm()), .residual(span: 1), .dense(Dense(12, activation: .silu)),
        .dense(Dense(12, activation: .elu)), .dropout(Dropout(0.5)), .residual(span: 2),
        .layerNorm(LayerNorm()),
        .dense(Dense(12, activation: .mish)), .residual(span: 3), .residual(span: 6), .dense(Dense(12)),
        .residual(span: 8), .activation(.softmax),
      ]
    ),
    (64, [.dense(Dense(128, activation: .relu)), .dense(Dense(10, activation: .softmax))]),
    (
      2,
      [
        .dense(Dense(3, activation: .tanh)), .dense(Dense(2)),
        .scaling(Scaling(mean: [-5, 30], deviation: [0.01, 7])),
      ]
    ),
  ]

  private func cases() throws -> [Case] {
    var cases: [Case] = []
    for activation in Activation.allCases {
      let (float, floats) = try activationCase(activation) {
        Float(bitPattern: UInt32(truncatingIfNeeded: $0.next()))
      }
      let (double, doubles) = try activationCase(activation) { Double(bitPattern: $0.next()) }
      cases += [.float32(float, rows: floats), .float64(double, rows: doubles)]
    }
    for (inputs, layers) in Self.architectures {
      let (float, floats) = try networkCase(inputs: inputs, layers, Float.self)
      let (double, doubles) = try networkCase(inputs: inputs, layers, Double.self)
      cases += [.float32(float, rows: floats), .float64(double, rows: doubles)]
    }
    return cases
  }

  @Test(arguments: Compilation.all)
  fileprivate func `every activation and layer gives the bits of the model, and no warning`(
    compilation: Compilation
  )
    throws
  {
    let workshop = try Workshop(), cases = try cases()
    for (index, item) in cases.enumerated() {
      try item.export(named: "net_\(index)", to: workshop.folder)
    }
    // Each header twice, as a program may include it.
    let headers = cases.indices.map { "#include \"net_\($0).h\"\n" }.joined()
    let drivers = cases.enumerated().map { $1.driver(named: "net_\($0)") }.joined()
    try workshop.write(
      "#include <stdio.h>\n\(headers)\(headers)int main(void)\n{\n\(drivers)  return 0;\n}\n", to: "main.c")
    try workshop.compile(compilation)
    let (status, output) = try workshop.runProgram(input: cases.map(\.input).reduce(Data(), +))
    #expect(status == 0)
    var rest = output
    for (index, item) in cases.enumerated() {
      let differences = try item.differences(&rest)
      #expect(differences.isEmpty, "\(index): \(item.layers)")
    }
    #expect(rest.isEmpty)
  }

  @Test(arguments: Compilation.all)
  fileprivate func `the self-test passes, and fails where a parameter is another`(compilation: Compilation)
    throws
  {
    let (model, _) = try networkCase(inputs: 5, Self.architectures[3].layers, Float.self)
    let source = try model.exportC(named: "classify"), workshop = try Workshop()
    try workshop.write(source, to: "net.c")
    try workshop.compile(compilation, "-DCHAINRULE_SELF_TEST")
    var (status, output) = try workshop.runProgram()
    #expect(status == 0)
    #expect(String(decoding: output, as: UTF8.self) == "classify: 36 of 36 outputs are the model's\n")

    let start = try #require(source.firstRange(of: "cr_bias_7[9] = {\n    0x1"))
    try workshop.write(source.replacingCharacters(in: start, with: "cr_bias_7[9] = {\n    0x2"), to: "net.c")
    try workshop.compile(compilation, "-DCHAINRULE_SELF_TEST")
    (status, output) = try workshop.runProgram()
    #expect(status == 1)
    let text = String(decoding: output, as: UTF8.self)
    #expect(text.contains(/^row 1, outputs\[0\]: the bits are 0x[0-9a-f]{8}, expected 0x[0-9a-f]{8}\n/))
    #expect(text.hasSuffix("classify: 0 of 36 outputs are the model's\n"))
  }

  @Test func `the text is written in small pieces, and is one file`() throws {
    let (model, _) = try networkCase(inputs: 64, Self.architectures[5].layers, Double.self)
    var pieces: [[UInt8]] = []
    try model.exportC(named: "predict") { piece in pieces.append(piece) }
    #expect(pieces.count > 3)
    #expect(try #require(pieces.map(\.count).max()) <= 70_000)
    let text = String(decoding: pieces.joined(), as: UTF8.self)
    #expect(try model.exportC() == text)
    let workshop = try Workshop()
    let (source, header) = (workshop.folder.path + "/a.c", workshop.folder.path + "/a.h")
    try model.exportC(to: source, header: header)
    #expect(try String(contentsOfFile: source, encoding: .utf8) == text)
    #expect(try String(contentsOfFile: header, encoding: .utf8) == model.exportCHeader())
  }

  /// Sums of a product and a number where rounding is hard: ties, sticky bits far down, cancellation to the
  /// last bits, denormal numbers, overflow, zeros of both signs, infinity and NaN.
  @Test(arguments: ScalarType.allCases)
  func `the file's own fma has the bits of the library's`(scalar: ScalarType) throws {
    let workshop = try Workshop()
    let (definition, _) = CElementaryFunctions(scalar).needed(by: "cr_fma")
    try workshop.write(
      "#define CHAINRULE_OWN_FMA 1\n#include <math.h>\n#include <stdint.h>\n#include <stdio.h>\n"
        + "#include <string.h>\n\n" + definition + CElementaryFunctions.spelled(hardSums, scalar), to: "fma.c"
    )
    try workshop.compile(Compilation.all[0], "-O2", "-ffp-contract=off")
    let (status, output) = try workshop.runProgram()
    #expect(status == 0, "\(String(decoding: output.prefix(2000), as: UTF8.self))")
    #expect(output == Data("4000000 sums\n".utf8))
  }

  @Test func `other arithmetic is refused`() throws {
    let workshop = try Workshop()
    try workshop.write(try networkCase(inputs: 1, [.dense(Dense(1))], Float.self).0.exportC(), to: "net.c")
    func refusal(_ compiler: String, _ option: String) throws -> String {
      let (status, output) = try workshop.run(compiler, [option, "-c", "net.c"])
      #expect(status != 0)
      return String(decoding: output, as: UTF8.self)
    }
    let message = try refusal(Compilation.all[0].compiler, "-ffast-math")
    #expect(message.contains("compile this file without -ffast-math"))
    #if arch(x86_64) && os(Linux)
      if let gcc = Compilation.all.map(\.compiler).first(where: { $0.hasSuffix("/gcc") }) {
        #expect(try refusal(gcc, "-mfpmath=387").contains("of each type's own precision"))
      }
    #endif
  }

  @Test func `a file has only the functions that its network needs`() throws {
    let relu = try networkCase(inputs: 3, [.dense(Dense(2, activation: .relu))], Float.self).0.exportC()
    for text in [
      "cr_dense(", "cr_relu(", "cr_larger(", "cr_weights_1[6] = {  /* W transposed, [3][2] */\n",
      "cr_bias_1[2]",
    ] {
      #expect(relu.contains(text), "\(text)")
    }
    for name in [
      "cr_smaller", "cr_exp(", "cr_bits", "cr_horner", "CR_FRACTION", "cr_softmax", "cr_normalize", "double ",
    ] {
      #expect(!relu.replacing("(double)", with: "").contains(name), "\(name)")
    }
  }

  /// The coefficients stand twice, in the kernels' templates and here.
  @Test func `numbers are those of the kernels`() throws {
    let root = fixtures.deletingLastPathComponent().deletingLastPathComponent()
    func literals(in path: String) throws -> Set<Substring> {
      let text = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
      return Set(text.matches(of: /0x[0-9a-f]+(?:\.[0-9a-f]+)?p[-+]?[0-9]+f?/).map(\.output))
    }
    let kernels = try literals(in: "Sources/CChainrule/kernels/math_tmpl.h")
      .union(literals(in: "Sources/CChainrule/kernels/coefficients.c"))
    let export = try literals(in: "Sources/ChainruleExport/C/CElementaryFormulas.swift")
    #expect(export.count > 60)
    #expect(export.subtracting(kernels) == [])
  }

  @Test func `names of the data are comments, whatever they are`() throws {
    let network = try Network<Float>(inputs: 2, layers: [.dense(Dense(3, activation: .softmax))])
    try network.core.setNames(.features, to: ["*/ int x = ;", "line\nbreak \u{202e}right"])
    try network.core.setNames(.classes, to: ["/* cat", "d\u{f6}g??/", "\\"])
    let source = try Model(network).exportC(), workshop = try Workshop()
    #expect(source.contains("\n *   [0]  *| int x = ;\n *   [1]  line?break ?right\n"))
    #expect(source.contains("\n *   [0]  /| cat\n *   [1]  d\u{f6}g?/\n *   [2]  \\\n"))
    try workshop.write(source, to: "net.c")
    for compilation in Compilation.all { try workshop.compile(compilation, "-DCHAINRULE_SELF_TEST") }
  }

  @Test(arguments: [
    "", "2x", "a-b", "a b", "gr\u{f6}\u{df}e", "_x", "cr_x", "CR_X", "int", "main", "inputs", "printf", "exp",
    "expf", "fmal",
    "memcpy", "NAN", "FLT_MAX", "size_t", "uint32_t", "x;", "x\n",
  ])
  func `a name that C does not leave free is refused`(name: String) throws {
    let model = try networkCase(inputs: 1, [.dense(Dense(1))], Float.self).0
    let error = #expect(throws: ChainruleError.self) { try model.exportC(named: name) }
    guard case .invalidValue("name", name, _) = error else { throw try #require(error) }
  }

  @Test func `a number that is not finite is refused`() throws {
    let network = try Network<Float>(inputs: 1) { Dense(1, weightsInitializer: .constant(1)) }
    let trainer = try Trainer(network, loss: .halfSquaredError, optimizer: .sgd(learningRate: 1e30))
    #expect(throws: ChainruleError.self) {
      try trainer.step(Dataset<Float>(features: [[1e15]], targets: [[0]]))
    }
    let diverged = try Model(network)
    #expect {
      try diverged.exportC()
    } throws: { error in
      "\(error)" == "layer 1, weights: value 1 is infinite, for which C has no literal"
    }
  }

  @Test func `an activation that is a Swift function is refused`() throws {
    let custom = CustomActivation("square", function: { $0 }, derivative: { $0 })
    let model = try Model(Network<Float>(inputs: 1, layers: [.dense(Dense(1)), .custom(custom)]))
    let message = "layer 2 is square, an activation that is a Swift function, which cannot be written as C"
    #expect(throws: ChainruleError.invalidNetwork(layer: 2, reason: message)) { try model.exportC() }
  }
}
