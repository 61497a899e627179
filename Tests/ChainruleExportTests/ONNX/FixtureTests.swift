import Chainrule
import ChainruleExport
import Foundation
import TestSupport
import Testing

/// A network that another program exported, and what that program makes of some rows.
private struct Fixture: Decodable {
  var rows, outputs: [[Double]]
  var classes: [String]?

  static func all() throws -> [String: Fixture] {
    try JSONDecoder().decode(
      [String: Fixture].self, from: Data(contentsOf: fixtures.appending(path: "onnx/networks.json")))
  }
}

private let activations =
  "3 sigmoid, 3 tanh, 3 relu, 3 leakyReLU, 3 elu, 3 selu, 3 gelu, 3 geluTanh, 3 silu, 3 softplus, 3 softsign, 3 mish, "
  + "3 hardSigmoid, 3 hardTanh, 3 softmax"

@Suite struct `A network that another program exported` {
  @Test(arguments: [
    (
      "torch-block-script",
      "6 identity, batchNorm, silu, relu, 6 identity, residual (2), layerNorm, 3 softmax (no bias)"
    ),
    (
      "torch-block-dynamo", "6 silu, relu, 6 identity, residual (2), layerNorm, 3 softmax (no bias)"
    ),
    ("torch-activations-script", activations),
    ("torch-activations-dynamo", activations),
    ("sklearn-classes", "scaling, 5 relu, 3 softmax"),
    ("sklearn-labels", "5 tanh, 3 softmax"),
    ("sklearn-binary", "5 sigmoid, 2 softmax"),
    ("sklearn-regressor", "scaling, 5 relu, 1 identity"),
    ("sklearn-minmax", "scaling, 5 identity, 1 identity"),
    ("keras", "3 gelu, 3 silu, 3 hardSigmoid, 3 softmax"),
  ])
  func `gives the outputs that it gives there`(name: String, layers: String) throws {
    let fixture = try #require(try Fixture.all()[name])
    func check<Scalar: NetworkScalar>(_ model: Model<Scalar>, _ tolerance: Tolerance) throws {
      #expect(model.layers.map(\.description).joined(separator: ", ") == layers)
      #expect(model.classLabels == fixture.classes)
      let outputs = try model.predict(fixture.rows.flatMap { $0.map { Scalar($0) } })
      #expect(mismatch(outputs, fixture.outputs.flatMap(\.self), tolerance) == nil)
    }
    switch try SavedModel(onnx: fixtures.appending(path: "onnx/\(name).onnx").path) {
    case .float32(let model):
      #expect(name != "sklearn-regressor")
      try check(model, .float32)
    case .float64(let model):
      #expect(name == "sklearn-regressor")
      try check(model, .float64)
    }
  }
}
