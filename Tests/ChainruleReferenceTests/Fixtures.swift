import ChainruleExplain
import ChainruleReference
import RealModule
import TestSupport
import Testing

// MARK: - A step file run by the reference

extension Trainer where Scalar: Real & BinaryFloatingPoint {
  /// The reference, ready for the step file's first batch.
  init(_ stepFile: StepFile) throws {
    let layers = try stepFile.layers.map { layer in
      Layer(
        weights: try #require(layer.weights).map { $0.map { Scalar($0) } },
        bias: layer.bias.map { $0.map { Scalar($0) } },
        activation: try #require(layer.activation.flatMap(Activation.init)))
    }
    self.init(
      network: Network(layers: layers),
      loss: try #require(Loss(rawValue: stepFile.loss)),
      optimizer: try #require(Optimizer(stepFile.optimizer)))
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
    guard (rule.alpha, rule.rho, rule.beta1, rule.beta2, rule.epsilon) == (nil, nil, nil, nil, nil),
      (rule.momentumDecay, rule.etaMinus, rule.etaPlus) == (nil, nil, nil),
      (rule.stepMin, rule.stepMax) == (nil, nil)
    else { return nil }
    let η = Scalar(rule.learningRate)
    let μ = Scalar(rule.momentum ?? 0)
    let λ = Scalar(rule.weightDecay ?? 0)
    let λ1 = Scalar(rule.l1 ?? 0)
    let amsgrad = rule.amsgrad ?? false
    switch rule.type {
    case "sgd":
      self = .sgd(learningRate: η, momentum: μ, nesterov: rule.nesterov ?? false, weightDecay: λ, l1: λ1)
    case "adagrad": self = .adagrad(learningRate: η, weightDecay: λ, l1: λ1)
    case "rmsprop":
      self = .rmsprop(learningRate: η, momentum: μ, centered: rule.centered ?? false, weightDecay: λ, l1: λ1)
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
  /// bias, then weights row by row
  var numbers: [Scalar] { (bias ?? []) + weights.flatMap { $0 } }
}

extension Gradient where Scalar: Real & BinaryFloatingPoint {
  /// bias, then weights row by row
  var numbers: [Scalar] { (bias ?? []) + weights.flatMap { $0 } }
}
