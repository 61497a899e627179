import Chainrule
import Foundation
import TestSupport
import Testing

@Suite("Import of plain safetensors")
struct ImportTests {
  private let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

  /// Imports a file of these bytes; nil: there is none.
  private func model(
    _ bytes: [UInt8]?, _ activations: [Activation], layers: [String]? = nil
  ) throws -> SavedModel {
    if let bytes { try Data(bytes).write(to: file) }
    defer { try? FileManager.default.removeItem(at: file) }
    return try SavedModel(safetensors: file.path, layers: layers, activations: activations)
  }

  @Test func `layers come with their parameters, and predict`() throws {
    let bytes = safetensors(
      of: Double.self,
      [
        "net.0.weight": ([2, 3], [1, 2, 3, 4, 5, 6]), "net.0.bias": ([2], [0.5, 7]),
        "net.1.weight": ([2], [2, 4]), "net.1.bias": ([2], [1, -1]), "net.1.running_mean": ([2], [3, 4]),
        "net.1.running_var": ([2], [1 - 1e-5, 4 - 1e-5]), "net.10.weight": ([1, 2], [0.5, -0.25]),
      ])
    guard case .float64(let model) = try model(bytes, [.identity, .relu, .identity]) else {
      Issue.record("F64 makes no float64 model")
      return
    }
    #expect(model.layers.map(\.description) == ["2 identity", "batchNorm", "relu", "1 identity (no bias)"])
    let norm = try model.parameters(ofLayer: 1)
    #expect(norm.gamma == [2, 4] && norm.beta == [1, -1] && norm.mean == [3, 4])

    // z = [1.5, 11] and [3.5, 16]; normalised, [-1.5, 3.5] and [0.5, 6]; then [-2, 13] and [2, 23].
    let outputs = try model.predict([1, 0, 0, 1, 1, 0])
    #expect(outputs.count == 2 && zip(outputs, [-3.25, -4.75]).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test func `layers come in the order of a list`() throws {
    let bytes = safetensors(
      of: Double.self,
      [
        "fc1.weight": ([2, 1], [1, 2]), "a.head.weight": ([1, 2], [3, 4]), "bn.weight": ([2], [1, 1]),
        "bn.bias": ([2], [0, 5]),
      ])
    guard
      case .float64(let model) = try model(
        bytes, [.identity, .relu, .tanh], layers: ["fc1", "bn", "a.head"])
    else {
      Issue.record("F64 makes no float64 model")
      return
    }
    #expect(
      model.layers.map(\.description) == ["2 identity (no bias)", "layerNorm", "relu", "1 tanh (no bias)"])
  }

  @Test func `F32 makes a float32 model`() throws {
    let bytes = safetensors(of: Float.self, ["weight": ([1, 2], [1, 2])])
    guard case .float32(let model) = try model(bytes, [.tanh]) else {
      Issue.record("F32 makes no float32 model")
      return
    }
    #expect(model.layers.map(\.description) == ["1 tanh (no bias)"])
    #expect(try model.parameters(ofLayer: 0).weights == [1, 2])
  }

  @Test func `what is wrong has its case`() throws {
    let square: (shape: [Int], values: [Float]) = ([2, 2], [1, 2, 3, 4])
    let good = safetensors(of: Float.self, ["0.weight": square, "1.weight": square])
    let path = file.path
    #expect(throws: ChainruleError.file(path: path, reason: "cannot read: No such file or directory")) {
      try model(nil, [.relu])
    }
    #expect(
      throws: ChainruleError.invalidModel(
        path: path,
        reason: "layers \"a\" and \"b\": their order is not known; expected names that differ only in a "
          + "number, as 0.weight and 2.weight, or a list of the layers in order (--layers)")
    ) {
      try model(safetensors(of: Float.self, ["a.weight": square, "b.weight": square]), [.relu, .relu])
    }
    #expect(
      throws: ChainruleError.invalidArgument(
        message: "1 activations; expected 2, one for each layer with weights in the file")
    ) {
      try model(good, [.relu])
    }
    #expect(
      throws: ChainruleError.invalidArgument(message: "1 activations; expected 2, one for each layer listed")
    ) {
      try model(good, [.relu], layers: ["0", "1"])
    }
    #expect(
      throws: ChainruleError.invalidNetwork(
        layer: 1, reason: "layer 1 is softmax, which only the last layer (2) may be")
    ) {
      try model(good, [.softmax, .relu])
    }
  }
}
