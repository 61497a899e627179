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
    let layers = try stepFile.layers.map { layer -> Layer in
      switch layer.type {
      case "batchNorm": .batchNorm(BatchNorm(momentum: layer.momentum ?? 0.1, epsilon: layer.epsilon ?? 1e-5))
      case "layerNorm": .layerNorm(LayerNorm(epsilon: layer.epsilon ?? 1e-5))
      default:
        .dense(
          Dense(
            try #require(layer.units), activation: try #require(layer.activation.flatMap(Activation.init)),
            bias: layer.bias != nil))
      }
    }
    try self.init(inputs: stepFile.inputs, layers: layers, kernelSet: kernelSet)
    for (l, layer) in stepFile.layers.enumerated() {
      var parameters = try self.parameters(ofLayer: l)
      parameters.weights = layer.weights.map { $0.flatMap { $0.map { Scalar($0) } } } ?? []
      parameters.bias = layer.bias.map { $0.map { Scalar($0) } }
      parameters.gamma = layer.gamma.map { $0.map { Scalar($0) } }
      parameters.beta = layer.beta.map { $0.map { Scalar($0) } }
      try setParameters(parameters, ofLayer: l)
    }
  }

  /// The parameters of a layer: bias, then weights row by row, then γ and β.
  func numbers(ofLayer l: Int) throws -> [Scalar] {
    let parameters = try parameters(ofLayer: l)
    return (parameters.bias ?? []) + parameters.weights + (parameters.gamma ?? []) + (parameters.beta ?? [])
  }

  /// The running statistics of a layer.
  func statistics(ofLayer l: Int) throws -> [Scalar] {
    let parameters = try parameters(ofLayer: l)
    return (parameters.mean ?? []) + (parameters.variance ?? [])
  }

  /// All parameters, to be compared bit by bit.
  var bits: [Scalar] {
    get throws { try layers.indices.flatMap { try numbers(ofLayer: $0) + statistics(ofLayer: $0) } }
  }
}

extension LayerTrace {
  /// ∂L/∂b, then ∂L/∂W row by row, then ∂L/∂γ and ∂L/∂β.
  var gradient: [Scalar] {
    (biasGradient ?? []) + weightsGradient + (gammaGradient ?? []) + (betaGradient ?? [])
  }
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
    try self.init(named: rule.type, rule.numbers)
  }
}
