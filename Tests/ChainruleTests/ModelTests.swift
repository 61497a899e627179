import Foundation
import TestSupport
import Testing

@testable import Chainrule

/// A classifier of three classes, with names.
private func classifier<Scalar: NetworkScalar>(_: Scalar.Type, seed: UInt64 = 1) throws -> Network<Scalar> {
  let network = try Network<Scalar>(inputs: 4, seed: seed) {
    Dense(7, activation: .silu)
    Dense(5, activation: .leakyReLU, bias: false, weightsInitializer: .uniform(scale: 0.5))
    Dense(3, activation: .softmax, biasInitializer: .constant(0.25))
  }
  try network.adoptNames(
    of: Dataset(
      features: Array(repeating: 0, count: 12), targets: [1, 0, 0, 0, 1, 0, 0, 0, 1], rows: 3, inputs: 4,
      outputs: 3, featureNames: ["Größe", "\"b\"", "c\\d", ""], classLabels: ["setosa", "🌸", "x,y\n"]))
  return network
}

extension Model {
  fileprivate var bits: [Scalar] {
    get throws {
      try layers.indices.flatMap { layer in
        let parameters = try self.parameters(ofLayer: layer)
        return parameters.weights + (parameters.bias ?? [])
      }
    }
  }

  /// The same in everything a file holds.
  fileprivate func expectSame(
    as other: Model, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(try bits == other.bits, sourceLocation: sourceLocation)
    #expect(inputs == other.inputs && outputs == other.outputs, sourceLocation: sourceLocation)
    #expect(layers == other.layers, sourceLocation: sourceLocation)
    #expect(featureNames == other.featureNames, sourceLocation: sourceLocation)
    #expect(targetNames == other.targetNames, sourceLocation: sourceLocation)
    #expect(classLabels == other.classLabels, sourceLocation: sourceLocation)
    #expect(core.metadata == other.core.metadata, sourceLocation: sourceLocation)
  }
}

private func randomRows<Scalar: NetworkScalar>(_ rows: Int, _ inputs: Int, as _: Scalar.Type) -> [Scalar] {
  var random = Random(state: 23)
  return random.matrix(rows, inputs, scale: 2).flatMap { $0.map { Scalar($0) } }
}

@Suite struct `A model` {
  @Test func `keeps its metadata in copies, files, foldings and in the other precision`() throws {
    let text = #"{"größe":["\u0001","🌸"],"x":[1,2]}"#
    let network = try classifier(Float.self)
    #expect(network.core.metadata == nil)
    try network.core.setMetadata(text)
    let model = try Model(network)
    try network.core.setMetadata("other")
    let path = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try model.save(to: path)
    let copies = [
      model.core.metadata, try Network(model).core.metadata, try model.folded().core.metadata,
      try Model<Double>(model).core.metadata, try Model<Float>(contentsOf: path).core.metadata,
    ]
    #expect(copies == Array(repeating: text, count: copies.count))
    try network.core.setMetadata(nil)
    #expect(network.core.metadata == nil)
  }

  @Test func `refuses metadata with a null character, and keeps what it had`() throws {
    let network = try classifier(Float.self)
    try network.core.setMetadata("before")
    let message = "metadata: byte 4 is a null character, which a text may not contain"
    #expect(throws: ChainruleError.invalidArgument(message: message)) {
      try network.core.setMetadata("é,\0,b")
    }
    #expect(network.core.metadata == "before")
  }

  @Test func `does not change when the network it was frozen from is trained`() throws {
    let network = try classifier(Float.self)
    let model = try Model(network)
    let (bits, rows) = (try network.bits, randomRows(9, 4, as: Float.self))
    let before = try model.predict(rows)
    #expect(try before == network.predict(rows))

    let data = try Dataset<Float>(
      features: [[1, 2, 3, 4], [4, 3, 2, 1]], targets: [[1, 0, 0], [0, 0, 1]])
    let trainer = try Trainer(network, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.5))
    for _ in 0..<3 { try trainer.step(data) }
    #expect(try network.bits != bits)
    #expect(try model.bits == bits)
    #expect(try model.predict(rows) == before)
    #expect(try network.predict(rows) != before)
  }

  @Test func `predicts the same bits in many tasks at once`() async throws {
    let model = try Model(classifier(Double.self))
    let rows = randomRows(300, 4, as: Double.self)
    let expected = try model.predict(rows)
    try await withThrowingTaskGroup(of: [Double].self) { group in
      for task in 0..<64 {
        group.addTask {
          if task % 2 == 0 { return try model.predict(rows) }
          // A row at a time, on memory of the task's own.
          var predictor = model.predictor()
          var outputs = [Double](repeating: .nan, count: expected.count)
          for row in 0..<300 {
            try rows[row * 4..<row * 4 + 4].withUnsafeBufferPointer { x in
              try outputs[row * 3..<row * 3 + 3].withUnsafeMutableBufferPointer {
                try predictor.predict(x, into: $0)
              }
            }
          }
          return outputs
        }
      }
      for try await outputs in group { #expect(outputs == expected) }
    }
  }

  @Test func `of another scalar type is the rounded, or widened, one`() throws {
    let wide = try Model(classifier(Double.self))
    let narrow = try Model<Float>(wide)
    #expect(try narrow.bits == wide.bits.map { Float($0) })
    #expect(narrow.layers == wide.layers && narrow.classLabels == wide.classLabels)
    #expect(narrow.featureNames == wide.featureNames && narrow.targetNames == wide.targetNames)
    let widened = try Model<Double>(narrow)
    #expect(try widened.bits == narrow.bits.map { Double($0) })
    try Model<Float>(widened).expectSame(as: narrow)
    let rows = randomRows(9, 4, as: Double.self)
    #expect(
      mismatch(try narrow.predict(rows.map { Float($0) }), try wide.predict(rows), .float32) == nil)
  }

  @Test func `with a parameter beyond Float does not become one of Float`() throws {
    let network = try Network<Double>(inputs: 1) { Dense(2, weightsInitializer: .constant(1e300)) }
    let error = ChainruleError.notFinite(
      quantity: "weights", layer: 1, step: nil, message: "layer 1, weights: value 1 is infinity")
    #expect(throws: error) { try Model<Float>(Model(network)) }
  }
}

@Suite struct `A predictor` {
  private func outputs(of model: Model<Float>, _ features: [Float], rows: Int, count: Int) throws -> [Float] {
    var predictor = model.predictor(rows: rows)
    var outputs = [Float](repeating: .nan, count: count)
    for _ in 0..<2 {  // its memory may be used again
      try features.withUnsafeBufferPointer { x in
        try outputs.withUnsafeMutableBufferPointer { try predictor.predict(x, into: $0) }
      }
    }
    return outputs
  }

  @Test(arguments: [Int.min, 0, 1, 2, 7, 300, Int.max], [1, 2, 7, 300])
  func `gives the bits of predict, whatever it was planned for`(planned: Int, rows: Int) throws {
    let model = try Model(classifier(Float.self))
    let features = randomRows(rows, 4, as: Float.self)
    #expect(
      try outputs(of: model, features, rows: planned, count: rows * 3) == model.predict(features))
  }

  @Test func `takes spans, and gives their bits`() throws {
    let model = try Model(classifier(Float.self))
    let features = randomRows(300, 4, as: Float.self)
    var predictor = model.predictor()
    var outputs = [Float](repeating: .nan, count: 900)
    var span = outputs.mutableSpan
    try predictor.predict(features.span, into: &span)
    #expect(try outputs == model.predict(features))
    var few = [Float](repeating: 0, count: 3)
    var small = few.mutableSpan
    do throws(ChainruleError) {
      try predictor.predict(features.span, into: &small)
      Issue.record("3 outputs for 300 rows")
    } catch {
      #expect(error == .shapeMismatch(what: "outputs", expected: 900, actual: 3))
    }
  }

  @Test func `says so where there is no row`() throws {
    let model = try Model(classifier(Float.self))
    let error = ChainruleError.invalidValue(
      name: "the number of rows to predict", value: "0", expected: "at least 1, of 4 values each")
    #expect(throws: error) { try outputs(of: model, [], rows: 1, count: 0) }
    #expect(throws: error) { try model.predict([]) }
  }

  @Test func `refuses what predict refuses, and outputs of another size`() throws {
    let model = try Model(classifier(Float.self))
    #expect(
      throws: ChainruleError.shapeMismatch(
        what: "values of a prediction's inputs, to be a multiple of the network's inputs", expected: 4,
        actual: 7)
    ) { try outputs(of: model, Array(repeating: 0, count: 7), rows: 1, count: 3) }
    for count in [0, 5, 7] {
      #expect(throws: ChainruleError.shapeMismatch(what: "outputs", expected: 6, actual: count)) {
        try outputs(of: model, Array(repeating: 0, count: 8), rows: 1, count: count)
      }
    }
    #expect(
      throws: ChainruleError.notFinite(
        quantity: "inputs, row 2, column 3", layer: nil, step: nil,
        message: "inputs, row 2, column 3: -infinity")
    ) { try outputs(of: model, [1, 2, 3, 4, 5, 6, -.infinity, 8], rows: 1, count: 6) }
  }
}

@Suite final class `A model file` {
  private let folder: URL
  private let path: String

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "chainrule-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    path = folder.appending(path: "model.safetensors").path
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  private var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
  }

  private func expectRoundTrip<Scalar: NetworkScalar>(_: Scalar.Type) throws {
    let model = try Model(classifier(Scalar.self))
    try model.save(to: path)
    let loaded = try Model<Scalar>(contentsOf: path)
    try loaded.expectSame(as: model)
    #expect(loaded.featureNames == ["Größe", "\"b\"", "c\\d", ""])
    #expect(loaded.classLabels == ["setosa", "🌸", "x,y\n"] && loaded.targetNames == nil)
    let rows = randomRows(9, 4, as: Scalar.self)
    #expect(try loaded.predict(rows) == model.predict(rows))

    try loaded.save(to: folder.appending(path: "again.safetensors"))
    let bytes = try Data(contentsOf: URL(filePath: path))
    #expect(try Data(contentsOf: folder.appending(path: "again.safetensors")) == bytes)
    #expect(try names == ["again.safetensors", "model.safetensors"], "nothing is left beside them")
    try Model<Scalar>(contentsOf: folder.appending(path: "again.safetensors")).expectSame(as: model)
    #expect(try Network(loaded).bits == model.bits)
  }

  @Test func `holds everything, bit by bit`() throws {
    try expectRoundTrip(Float.self)
    try expectRoundTrip(Double.self)
  }

  @Test func `of a regression has its targets' names, or none`() throws {
    let network = try Network<Double>(inputs: 1) { Dense(2) }
    try Model(network).save(to: path)
    let nameless = try Model<Double>(contentsOf: path)
    #expect(nameless.featureNames == nil && nameless.targetNames == nil && nameless.classLabels == nil)
    try network.adoptNames(of: Dataset(features: [[1]], targets: [[2, 3]], targetNames: ["kW", "°C"]))
    try Model(network).save(to: path)
    #expect(try Model<Double>(contentsOf: path).targetNames == ["kW", "°C"])
  }

  @Test func `of the other scalar type is refused, and SavedModel reads either`() throws {
    let (single, double) = (try Model(classifier(Float.self)), try Model(classifier(Double.self)))
    try single.save(to: path)
    #expect(
      throws: ChainruleError.invalidModel(path: path, reason: "holds a float32 model; expected float64")
    ) {
      try Model<Double>(contentsOf: path)
    }
    let first = try SavedModel(contentsOf: path)
    #expect(first.scalarType == .float32)
    guard case .float32(let loaded) = first else { return }
    try loaded.expectSame(as: single)

    try double.save(to: path)
    #expect(
      throws: ChainruleError.invalidModel(path: path, reason: "holds a float64 model; expected float32")
    ) {
      try Model<Float>(contentsOf: path)
    }
    let second = try SavedModel(contentsOf: path)
    #expect(second.scalarType == .float64)
    guard case .float64(let loaded) = second else { return }
    try loaded.expectSame(as: double)
  }

  @Test func `must be where it is read, in a folder where it is written`() throws {
    let model = try Model(classifier(Float.self))
    let missing = folder.appending(path: "no/model.safetensors").path
    #expect(
      throws: ChainruleError.file(path: missing, reason: "cannot open the folder: No such file or directory")
    ) { try model.save(to: missing) }
    #expect {
      try Model<Float>(contentsOf: missing)
    } throws: { error in
      guard case ChainruleError.file(path: missing, let reason) = error else { return false }
      return reason.hasSuffix("No such file or directory") && "\(error)" == "\(missing): \(reason)"
    }
    for use in [{ try model.save(to: $0) }, { _ = try Model<Float>(contentsOf: $0) }]
      as [(String) throws -> Void]
    {
      #expect {
        try use(folder.path)
      } throws: { error in
        guard case ChainruleError.file(path: folder.path, let reason) = error else { return false }
        return reason.hasSuffix("Is a directory")
      }
      #expect(throws: ChainruleError.invalidArgument(message: "path is empty")) { try use("") }
    }
    #expect(try names.isEmpty)
  }

  @Test func `that is cut short anywhere is refused`() throws {
    try Model(classifier(Float.self)).save(to: path)
    let bytes = try Data(contentsOf: URL(filePath: path))
    let cut = folder.appending(path: "cut.safetensors")
    for count in stride(from: bytes.count - 1, through: 0, by: -7) {
      try bytes.prefix(count).write(to: cut)
      let error = #expect(throws: ChainruleError.self, "\(count) bytes") { try Model<Float>(contentsOf: cut) }
      guard case .invalidModel(path: cut.path, let reason) = error else {
        Issue.record("\(count) bytes: \(String(describing: error))")
        return
      }
      #expect(!reason.isEmpty)
    }
  }

  @Test func `with a bit changed anywhere in its values is refused`() throws {
    try Model(classifier(Float.self)).save(to: path)
    let bytes = try Data(contentsOf: URL(filePath: path))
    let header = 8 + bytes.prefix(8).enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
    let changed = folder.appending(path: "changed.safetensors")
    for place in header..<bytes.count {
      var bytes = bytes
      bytes[place] ^= 1 << UInt8(place % 8)
      try bytes.write(to: changed)
      #expect {
        try Model<Float>(contentsOf: changed)
      } throws: { error in
        if case ChainruleError.invalidModel = error { true } else { false }
      }
    }
  }

  @Test(arguments: ["", "[1, 2]", "a,b,c\n1,2,3\n", String(repeating: "x", count: 1000)])
  func `is not any text`(text: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
    #expect {
      try Model<Float>(contentsOf: path)
    } throws: { error in
      guard case ChainruleError.invalidModel(path: path, let reason) = error else { return false }
      return "\(error)" == "\(path): \(reason)"
    }
  }

  @Test func `is as it was after a save that failed`() throws {
    let good = try Model(classifier(Float.self))
    try good.save(to: path)
    let bytes = try Data(contentsOf: URL(filePath: path))

    // A network that has diverged cannot be saved.
    let network = try Network<Float>(inputs: 1) { Dense(1, weightsInitializer: .constant(1)) }
    let trainer = try Trainer(network, loss: .halfSquaredError, optimizer: .sgd(learningRate: 1e30))
    let data = try Dataset<Float>(features: [[1e15]], targets: [[0]])
    #expect(throws: ChainruleError.self) { try trainer.step(data) }
    let lost = try Model(network)
    #expect {
      try lost.save(to: path)
    } throws: { error in
      guard case ChainruleError.notFinite(_, layer: 1, step: nil, let message) = error else { return false }
      return message == "layer 1, weights: value 1 is infinite"
    }
    #expect(throws: ChainruleError.self) { try good.save(to: path + "/model.safetensors") }
    #expect(try Data(contentsOf: URL(filePath: path)) == bytes)
    #expect(try names == ["model.safetensors"], "nothing is left beside it")
    try Model<Float>(contentsOf: path).expectSame(as: good)
  }
}
