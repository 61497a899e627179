import Chainrule
import ChainruleExplain
import Testing
import TestSupport

/// A kernel set and a precision: what every test of the core loops over.
struct Target: CustomTestStringConvertible, Sendable {
  let kernelSet: String
  let scalar: ScalarType

  static let all = Network<Float>.kernelSets.flatMap { set in
    ScalarType.allCases.map { Target(kernelSet: set, scalar: $0) }
  }

  var testDescription: String { "\(kernelSet) \(scalar)" }
}

extension Network {
  /// The network of a step file, with its parameters.
  convenience init(_ stepFile: StepFile, kernelSet: String) throws {
    let layers = try stepFile.layers.map { layer in
      Layer.dense(
        Dense(
          try #require(layer.units), activation: try #require(layer.activation.flatMap(Activation.init)),
          bias: layer.bias != nil))
    }
    try self.init(inputs: stepFile.inputs, layers: layers, kernelSet: kernelSet)
    for (l, layer) in stepFile.layers.enumerated() {
      var parameters = try self.parameters(ofLayer: l)
      parameters.weights = try #require(layer.weights).flatMap { $0.map { Scalar($0) } }
      parameters.bias = layer.bias.map { $0.map { Scalar($0) } }
      try setParameters(parameters, ofLayer: l)
    }
  }

  /// The parameters of a layer: bias, then weights row by row.
  func numbers(ofLayer l: Int) throws -> [Scalar] {
    let parameters = try parameters(ofLayer: l)
    return (parameters.bias ?? []) + parameters.weights
  }

  /// All parameters, to be compared bit by bit.
  var bits: [Scalar] {
    get throws { try layers.indices.flatMap { try numbers(ofLayer: $0) } }
  }
}

extension LayerTrace {
  /// ∂L/∂b, then ∂L/∂W row by row.
  var gradient: [Scalar] { (biasGradient ?? []) + weightsGradient }
}

extension Dataset {
  init(_ batch: StepFile.Batch) throws {
    try self.init(
      features: batch.x.map { $0.map { Scalar($0) } }, targets: batch.y.map { $0.map { Scalar($0) } },
      sampleWeights: batch.sampleWeights.map { $0.map { Scalar($0) } })
  }
}

extension Optimizer {
  init(_ rule: StepFile.Optimizer) throws {
    self = try JSONCoding.decode(Optimizer.self, from: rule)
  }
}
