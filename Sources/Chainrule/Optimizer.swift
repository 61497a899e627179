internal import CChainrule

/// An optimizer with its hyper-parameters: the rule by which an update changes a parameter p, given its
/// gradient g = ∂L/∂p.
///
/// Each rule has a static function that creates it, such as `.adam(learningRate: 0.01)`. The rules and their
/// defaults are PyTorch's; those of `lion` are its authors'. Every rule has three hyper-parameters:
///
/// - `learningRate`, η: the size of an update.
/// - `weightDecay`, λ: adds λ p to the gradient. `adamw` and `lion` subtract η λ p from p instead.
/// - `l1`, λ₁: adds λ₁ sign p to the gradient, where sign 0 = 0.
///
/// A ``Trainer`` refuses a number that is out of its range.
public struct Optimizer: Hashable, Sendable {
  /// The rule.
  public let kind: Kind
  /// The value of each hyper-parameter of the rule; a switch is 1 or 0.
  private var numbers: [Hyperparameter: Double]

  private init(
    _ kind: Kind, _ learningRate: Double, _ weightDecay: Double, _ l1: Double,
    _ others: [Hyperparameter: Double]
  ) {
    self.kind = kind
    numbers = others
    numbers[.learningRate] = learningRate
    numbers[.weightDecay] = weightDecay
    numbers[.l1] = l1
  }
}

// MARK: - The rules

extension Optimizer {
  /// The rules of the catalogue, by their names in files and on the command line.
  public enum Kind: String, CaseIterable, Codable, Sendable {
    /// Stochastic gradient descent, with or without momentum.
    case sgd
    /// Adagrad, by Duchi, Hazan and Singer (2011).
    case adagrad
    /// RMSprop, by Hinton (2012).
    case rmsprop
    /// Adam, by Kingma and Ba (2015).
    case adam
    /// AdamW, Adam with decoupled weight decay, by Loshchilov and Hutter (2019).
    case adamw
    /// Adadelta, by Zeiler (2012).
    case adadelta
    /// AdaMax, the variant of Adam that divides by the largest gradient, by Kingma and Ba (2015).
    case adamax
    /// NAdam, Adam with Nesterov's momentum, by Dozat (2016).
    case nadam
    /// Rprop, by Riedmiller and Braun (1993).
    case rprop
    /// Lion, by Chen et al. (2023).
    case lion

    /// The rule with its default values.
    public var `default`: Optimizer {
      // A switch over the core's closed list: without a rule here, a new row of the catalogue does not
      // compile.
      switch core {
      case .sgd: .sgd()
      case .adagrad: .adagrad()
      case .rmsprop: .rmsprop()
      case .adam: .adam()
      case .adamw: .adamw()
      case .adadelta: .adadelta()
      case .adamax: .adamax()
      case .nadam: .nadam()
      case .rprop: .rprop()
      case .lion: .lion()
      }
    }
  }

  /// v ← μ v + g, p ← p − η v; with `nesterov`, p ← p − η (g + μ v). μ is `momentum`.
  public static func sgd(
    learningRate: Double = 0.001, momentum: Double = 0, nesterov: Bool = false, weightDecay: Double = 0,
    l1: Double = 0
  ) -> Optimizer {
    Optimizer(.sgd, learningRate, weightDecay, l1, [.momentum: momentum, .nesterov: nesterov ? 1 : 0])
  }

  /// s ← s + g², p ← p − η g / (√s + ε) (Duchi et al. 2011)
  public static func adagrad(
    learningRate: Double = 0.01, epsilon: Double = 1e-10, weightDecay: Double = 0, l1: Double = 0
  ) -> Optimizer {
    Optimizer(.adagrad, learningRate, weightDecay, l1, [.epsilon: epsilon])
  }

  /// s ← α s + (1 − α) g², p ← p − η g / (√s + ε); `centered` subtracts the square of the running mean of g
  /// from s, and `momentum` smooths the quotient (Hinton 2012; Graves 2013)
  public static func rmsprop(
    learningRate: Double = 0.01, alpha: Double = 0.99, epsilon: Double = 1e-8, momentum: Double = 0,
    centered: Bool = false, weightDecay: Double = 0, l1: Double = 0
  ) -> Optimizer {
    Optimizer(
      .rmsprop, learningRate, weightDecay, l1,
      [.alpha: alpha, .epsilon: epsilon, .momentum: momentum, .centered: centered ? 1 : 0])
  }

  /// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², p ← p − η m̂ / (√v̂ + ε), where m̂ = m / (1 − β₁ᵗ) and
  /// v̂ = v / (1 − β₂ᵗ) (Kingma & Ba 2015); `amsgrad` uses the largest v so far (Reddi et al. 2018)
  public static func adam(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    amsgrad: Bool = false, weightDecay: Double = 0, l1: Double = 0
  ) -> Optimizer {
    Optimizer(
      .adam, learningRate, weightDecay, l1,
      [.beta1: beta1, .beta2: beta2, .epsilon: epsilon, .amsgrad: amsgrad ? 1 : 0])
  }

  /// p ← p − η λ p, then as `adam` without λ (Loshchilov & Hutter 2019)
  public static func adamw(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    amsgrad: Bool = false, weightDecay: Double = 0.01, l1: Double = 0
  ) -> Optimizer {
    Optimizer(
      .adamw, learningRate, weightDecay, l1,
      [.beta1: beta1, .beta2: beta2, .epsilon: epsilon, .amsgrad: amsgrad ? 1 : 0])
  }

  /// s ← ρ s + (1 − ρ) g², d = g √((u + ε) / (s + ε)), u ← ρ u + (1 − ρ) d², p ← p − η d (Zeiler 2012)
  public static func adadelta(
    learningRate: Double = 1, rho: Double = 0.9, epsilon: Double = 1e-6, weightDecay: Double = 0,
    l1: Double = 0
  ) -> Optimizer {
    Optimizer(.adadelta, learningRate, weightDecay, l1, [.rho: rho, .epsilon: epsilon])
  }

  /// m as in `adam`, s ← max(β₂ s, |g| + ε), p ← p − η m̂ / s (Kingma & Ba 2015)
  public static func adamax(
    learningRate: Double = 0.002, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0, l1: Double = 0
  ) -> Optimizer {
    Optimizer(
      .adamax, learningRate, weightDecay, l1, [.beta1: beta1, .beta2: beta2, .epsilon: epsilon])
  }

  /// m and v as in `adam`, p ← p − η (μₜ₊₁ m / (1 − μ₁…μₜ₊₁) + (1 − μₜ) g / (1 − μ₁…μₜ)) / (√v̂ + ε), where
  /// μₜ = β₁ (1 − ½ 0.96^(t ψ)) and ψ is `momentumDecay` (Dozat 2016)
  public static func nadam(
    learningRate: Double = 0.002, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    momentumDecay: Double = 0.004, weightDecay: Double = 0, l1: Double = 0
  ) -> Optimizer {
    Optimizer(
      .nadam, learningRate, weightDecay, l1,
      [.beta1: beta1, .beta2: beta2, .epsilon: epsilon, .momentumDecay: momentumDecay])
  }

  /// p ← p − s sign g, where each parameter has its own step s, at first η. s is multiplied by `etaPlus` when
  /// g keeps its sign and by `etaMinus` when the sign changes, and stays within `stepMin` and `stepMax`. A
  /// change of sign also sets g to 0. For batches of all rows (Riedmiller & Braun 1993).
  public static func rprop(
    learningRate: Double = 0.01, etaMinus: Double = 0.5, etaPlus: Double = 1.2, stepMin: Double = 1e-6,
    stepMax: Double = 50, weightDecay: Double = 0, l1: Double = 0
  ) -> Optimizer {
    Optimizer(
      .rprop, learningRate, weightDecay, l1,
      [.etaMinus: etaMinus, .etaPlus: etaPlus, .stepMin: stepMin, .stepMax: stepMax])
  }

  /// p ← p − η (sign(β₁ m + (1 − β₁) g) + λ p), then m ← β₂ m + (1 − β₂) g (Chen et al. 2023)
  public static func lion(
    learningRate: Double = 0.0001, beta1: Double = 0.9, beta2: Double = 0.99, weightDecay: Double = 0,
    l1: Double = 0
  ) -> Optimizer {
    Optimizer(.lion, learningRate, weightDecay, l1, [.beta1: beta1, .beta2: beta2])
  }
}

extension Optimizer.Kind {
  /// The update in ASCII, for a terminal.
  public var formula: String { String(cString: chainrule_optimizer_formula(core)) }

  /// The hyper-parameters of the rule, in the catalogue's order.
  public var hyperparameters: [Optimizer.Hyperparameter] { `default`.hyperparameters }

  fileprivate var core: chainrule_optimizer_kind {
    coreValue(named: rawValue, .sgd, chainrule_optimizer_named)
  }
}

// MARK: - Names and values

extension Optimizer {
  /// The name in files and on the command line.
  public var name: String { kind.rawValue }

  /// η
  public var learningRate: Double { numbers[.learningRate]! }
  /// λ
  public var weightDecay: Double { numbers[.weightDecay]! }

  /// The hyper-parameters of the rule, in the catalogue's order.
  public var hyperparameters: [Hyperparameter] { Hyperparameter.allCases.filter { numbers[$0] != nil } }

  /// The value of a hyper-parameter, 1 or 0 for a switch; `nil` if the rule does not have it.
  public subscript(hyperparameter: Hyperparameter) -> Double? { numbers[hyperparameter] }

  /// Creates a rule with the given values, and defaults for its other hyper-parameters.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for a hyper-parameter that the rule does not have, unless it
  ///   is a switch that is off.
  public init(_ kind: Kind, _ given: [Hyperparameter: Double] = [:]) throws(ChainruleError) {
    self = kind.default
    try set(given)
  }

  /// Sets the values of some hyper-parameters.
  ///
  /// - Throws: The errors of ``init(_:_:)``; nothing is set then.
  public mutating func set(_ given: [Hyperparameter: Double]) throws(ChainruleError) {
    let known = given.filter { numbers[$0.key] != nil }
    for hyperparameter in Hyperparameter.allCases where known[hyperparameter] == nil {
      guard let number = given[hyperparameter], !(hyperparameter.isSwitch && number == 0) else { continue }
      throw .invalidArgument(message: hyperparameter.isNot(of: kind, named: hyperparameter.rawValue))
    }
    numbers.merge(known) { $1 }
  }

  /// Creates a rule from its name in files.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for an unknown name, with the names of all rules; also the
  ///   errors of ``init(_:_:)``.
  public init(named name: String, _ given: [Hyperparameter: Double] = [:]) throws(ChainruleError) {
    guard let kind = Kind(rawValue: name) else {
      // The core's message lists the names.
      var kind = chainrule_optimizer_kind.sgd
      try check { chainrule_optimizer_named(name, &kind, &$0) }
      preconditionFailure("\(name) is in the core's catalogue alone")
    }
    try self.init(kind, given)
  }

  var core: chainrule_optimizer {
    var core = chainrule_optimizer_default(kind.core)
    for (hyperparameter, number) in numbers { hyperparameter.set(number, of: &core) }
    return core
  }
}

/// The form of a step file: `{"type": "adam", "learningRate": 0.01, …}`. Missing hyper-parameters have their
/// defaults.
extension Optimizer: Codable {
  /// Reads the form of a step file.
  ///
  /// - Throws: The errors of ``init(named:_:)``, and `DecodingError` for a value of another type.
  public init(from decoder: any Decoder) throws {
    let (name, numbers) = try Hyperparameter.decode(from: decoder)
    try self.init(named: name, numbers)
  }

  /// Writes every hyper-parameter of the rule.
  public func encode(to encoder: any Encoder) throws {
    try Hyperparameter.encode(name, numbers, to: encoder)
  }
}
