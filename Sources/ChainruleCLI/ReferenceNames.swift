import Chainrule
import ChainruleReference

// The core's and the reference's activations, losses and optimizers have the same names. The reference can lack one that the
// core has gained.

/// The failure for what the core has and the reference has not: a `kind` such as "activation", and its name.
func missing(_ kind: String, _ name: String) -> Failure {
  Failure(
    message: "the reference has no \(kind) named \"\(name)\", so the core's cannot be checked; add it to "
      + "Sources/ChainruleReference",
    exitCode: .failure)
}

/// The reference's value with a name of the core's catalogue; `kind` is what an error calls it.
func referenceValue<Value: RawRepresentable<String>>(_ kind: String, named name: String) throws -> Value {
  guard let value = Value(rawValue: name) else { throw missing(kind, name) }
  return value
}

extension ChainruleReference.Activation {
  /// The same function.
  init(_ activation: Chainrule.Activation) throws {
    self = try referenceValue("activation", named: activation.rawValue)
  }
}

extension ChainruleReference.Loss {
  /// The same function.
  init(_ loss: Chainrule.Loss) throws { self = try referenceValue("loss", named: loss.rawValue) }
}

extension ChainruleReference.Optimizer<Double> {
  /// The same rule with the same numbers.
  init(_ optimizer: Chainrule.Optimizer) {
    func number(_ hyperparameter: Chainrule.Optimizer.Hyperparameter) -> Double { optimizer[hyperparameter]! }
    func isOn(_ hyperparameter: Chainrule.Optimizer.Hyperparameter) -> Bool { number(hyperparameter) != 0 }
    let (η, λ, λ1) = (optimizer.learningRate, optimizer.weightDecay, number(.l1))
    switch optimizer.kind {
    case .sgd:
      self = .sgd(
        learningRate: η, momentum: number(.momentum), nesterov: isOn(.nesterov), weightDecay: λ, l1: λ1)
    case .adagrad:
      self = .adagrad(learningRate: η, epsilon: number(.epsilon), weightDecay: λ, l1: λ1)
    case .rmsprop:
      self = .rmsprop(
        learningRate: η, alpha: number(.alpha), epsilon: number(.epsilon), momentum: number(.momentum),
        centered: isOn(.centered), weightDecay: λ, l1: λ1)
    case .adam:
      self = .adam(
        learningRate: η, beta1: number(.beta1), beta2: number(.beta2), epsilon: number(.epsilon),
        amsgrad: isOn(.amsgrad), weightDecay: λ, l1: λ1)
    case .adamw:
      self = .adamw(
        learningRate: η, beta1: number(.beta1), beta2: number(.beta2), epsilon: number(.epsilon),
        amsgrad: isOn(.amsgrad), weightDecay: λ, l1: λ1)
    case .adadelta:
      self = .adadelta(
        learningRate: η, rho: number(.rho), epsilon: number(.epsilon), weightDecay: λ, l1: λ1)
    case .adamax:
      self = .adamax(
        learningRate: η, beta1: number(.beta1), beta2: number(.beta2), epsilon: number(.epsilon),
        weightDecay: λ, l1: λ1)
    case .nadam:
      self = .nadam(
        learningRate: η, beta1: number(.beta1), beta2: number(.beta2), epsilon: number(.epsilon),
        momentumDecay: number(.momentumDecay), weightDecay: λ, l1: λ1)
    case .rprop:
      self = .rprop(
        learningRate: η, etaMinus: number(.etaMinus), etaPlus: number(.etaPlus), stepMin: number(.stepMin),
        stepMax: number(.stepMax), weightDecay: λ, l1: λ1)
    case .lion:
      self = .lion(
        learningRate: η, beta1: number(.beta1), beta2: number(.beta2), weightDecay: λ, l1: λ1)
    }
  }
}
