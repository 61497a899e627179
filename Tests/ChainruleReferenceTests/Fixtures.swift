import ChainruleExplain
import ChainruleReference
import RealModule
import TestSupport
import Testing

// MARK: - A step file run by the reference

extension Trainer where Scalar: Real & BinaryFloatingPoint {
  /// The reference, ready for the step file's first batch.
  init(_ stepFile: StepFile) throws {
    self.init(
      network: Network(layers: try stepFile.layers.map { try Layer($0) }),
      loss: try #require(Loss(rawValue: stepFile.loss)),
      optimizer: try #require(Optimizer(stepFile.optimizer)),
      labelSmoothing: Scalar(stepFile.labelSmoothing ?? 0),
      clipping: stepFile.gradientClipNorm.map { [.norm(Scalar($0))] } ?? [])
  }

  /// One step on a batch.
  mutating func step(_ batch: StepFile.Batch) -> StepTrace<Scalar> {
    step(
      x: batch.x.map { $0.map { Scalar($0) } },
      y: batch.y.map { $0.map { Scalar($0) } },
      sampleWeights: batch.sampleWeights?.map { Scalar($0) })
  }
}

extension Optimizer where Scalar: Real & BinaryFloatingPoint {
  /// The rule of that name, whose defaults stand in for what the goldens leave out.
  init?(_ rule: StepFile.Optimizer) {
    let given = Set(rule.numbers.keys)
    guard
      given.isSubset(of: [
        .learningRate, .momentum, .nesterov, .centered, .amsgrad, .weightDecay, .l1,
      ])
    else { return nil }
    let η = Scalar(rule[.learningRate]!)
    let μ = Scalar(rule[.momentum] ?? 0)
    let λ = Scalar(rule[.weightDecay] ?? 0)
    let λ1 = Scalar(rule[.l1] ?? 0)
    let nesterov = rule[.nesterov] == 1
    let amsgrad = rule[.amsgrad] == 1
    switch rule.type {
    case "sgd":
      self = .sgd(learningRate: η, momentum: μ, nesterov: nesterov, weightDecay: λ, l1: λ1)
    case "adagrad": self = .adagrad(learningRate: η, weightDecay: λ, l1: λ1)
    case "rmsprop":
      self = .rmsprop(learningRate: η, momentum: μ, centered: rule[.centered] == 1, weightDecay: λ, l1: λ1)
    case "adam": self = .adam(learningRate: η, amsgrad: amsgrad, weightDecay: λ, l1: λ1)
    case "adamw": self = .adamw(learningRate: η, amsgrad: amsgrad, weightDecay: λ, l1: λ1)
    case "adadelta": self = .adadelta(learningRate: η, weightDecay: λ, l1: λ1)
    case "adamax": self = .adamax(learningRate: η, weightDecay: λ, l1: λ1)
    case "nadam": self = .nadam(learningRate: η, weightDecay: λ, l1: λ1)
    case "rprop": self = .rprop(learningRate: η, weightDecay: λ, l1: λ1)
    case "lion": self = .lion(learningRate: η, weightDecay: λ, l1: λ1)
    default: return nil
    }
  }
}

/// Expects two arrays of the same numbers, within the tolerance; the first that is off is named.
func expectClose<Scalar: Real & BinaryFloatingPoint>(
  _ found: [Scalar], _ expected: [Double], _ tolerance: Tolerance, _ what: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  if let mismatch = mismatch(found, expected, tolerance) {
    Issue.record("\(what), \(mismatch)", sourceLocation: sourceLocation)
  }
}

extension Layer where Scalar: Real & BinaryFloatingPoint {
  /// The layer of a golden file.
  init(_ layer: StepFile.Layer) throws {
    func numbers(_ values: [Double]?) throws -> [Scalar] { try #require(values).map { Scalar($0) } }
    let epsilon = Scalar(layer.epsilon ?? 1e-5)
    switch layer.type {
    case "batchNorm":
      self = .batchNorm(
        gamma: try numbers(layer.gamma), beta: try numbers(layer.beta),
        momentum: Scalar(layer.momentum ?? 0.1), epsilon: epsilon)
    case "layerNorm":
      self = .layerNorm(gamma: try numbers(layer.gamma), beta: try numbers(layer.beta), epsilon: epsilon)
    default:
      self.init(
        weights: try #require(layer.weights).map { $0.map { Scalar($0) } },
        bias: layer.bias.map { $0.map { Scalar($0) } },
        activation: try #require(layer.activation.flatMap(Activation.init)))
    }
  }

  /// bias, then weights row by row, then γ and β
  var numbers: [Scalar] { (bias ?? []) + weights.flatMap { $0 } + (gamma ?? []) + (beta ?? []) }

  /// The running mean and variance of a batchNorm.
  var statistics: [Scalar] { (mean ?? []) + (variance ?? []) }
}
