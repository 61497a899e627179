internal import CChainrule

/// How an update turns gradients g into parameters p, with PyTorch's rules and defaults.
///
/// η is `learningRate` ≥ 0; λ is `weightDecay` ≥ 0, added to the gradient as λ p but in `adamw`. Numbers out
/// of their range are refused where a ``Trainer`` is made.
public enum Optimizer: Hashable, Sendable {
  /// v ← μ v + g, p ← p − η v; with `nesterov`, p ← p − η (g + μ v). μ is `momentum` ≥ 0.
  case sgd(
    learningRate: Double = 0.001, momentum: Double = 0, nesterov: Bool = false, weightDecay: Double = 0)
  /// s ← s + g², p ← p − η g / (√s + ε) (Duchi et al. 2011)
  case adagrad(learningRate: Double = 0.01, epsilon: Double = 1e-10, weightDecay: Double = 0)
  /// s ← α s + (1 − α) g², p ← p − η g / (√s + ε); `centered` takes the running mean's square from s, and
  /// `momentum` smooths the quotient (Hinton 2012; Graves 2013)
  case rmsprop(
    learningRate: Double = 0.01, alpha: Double = 0.99, epsilon: Double = 1e-8, momentum: Double = 0,
    centered: Bool = false, weightDecay: Double = 0)
  /// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², p ← p − η m̂ / (√v̂ + ε), where m̂ = m / (1 − β₁ᵗ) and
  /// v̂ = v / (1 − β₂ᵗ) (Kingma & Ba 2015)
  case adam(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0)
  /// p ← p − η λ p, then as `adam` without λ (Loshchilov & Hutter 2019)
  case adamw(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0.01)

  /// The name that files and the command line use.
  public var name: String { String(cString: chainrule_optimizer_name(core.kind)) }

  /// The update in ASCII, as a terminal shows it.
  public var formula: String { String(cString: chainrule_optimizer_formula(core.kind)) }

  /// η
  public var learningRate: Double { core.learning_rate }

  /// The names of all optimizers.
  public static let names = (0..<UInt32(CHAINRULE_OPTIMIZER_COUNT)).map {
    String(cString: chainrule_optimizer_name(chainrule_optimizer_kind(rawValue: $0)!))
  }

  /// The optimizer of that name with its default numbers, but for those that are given.
  ///
  /// - Throws: `ChainruleError.invalidArgument` with the names there are.
  public init(named name: String, learningRate: Double? = nil, weightDecay: Double? = nil)
    throws(ChainruleError)
  {
    var kind = chainrule_optimizer_kind.sgd
    try check { chainrule_optimizer_named(name, &kind, &$0) }
    var core = chainrule_optimizer_default(kind)
    if let learningRate { core.learning_rate = learningRate }
    if let weightDecay { core.weight_decay = weightDecay }
    self.init(core)
  }

  var core: chainrule_optimizer {
    switch self {
    case .sgd(let learningRate, let momentum, let nesterov, let weightDecay):
      var core = chainrule_optimizer_default(.sgd)
      core.learning_rate = learningRate
      core.momentum = momentum
      core.nesterov = nesterov
      core.weight_decay = weightDecay
      return core
    case .adagrad(let learningRate, let epsilon, let weightDecay):
      var core = chainrule_optimizer_default(.adagrad)
      core.learning_rate = learningRate
      core.epsilon = epsilon
      core.weight_decay = weightDecay
      return core
    case .rmsprop(let learningRate, let alpha, let epsilon, let momentum, let centered, let weightDecay):
      var core = chainrule_optimizer_default(.rmsprop)
      core.learning_rate = learningRate
      core.alpha = alpha
      core.epsilon = epsilon
      core.momentum = momentum
      core.centered = centered
      core.weight_decay = weightDecay
      return core
    case .adam(let learningRate, let beta1, let beta2, let epsilon, let weightDecay),
      .adamw(let learningRate, let beta1, let beta2, let epsilon, let weightDecay):
      var core = chainrule_optimizer_default(isAdamW ? .adamw : .adam)
      core.learning_rate = learningRate
      core.beta1 = beta1
      core.beta2 = beta2
      core.epsilon = epsilon
      core.weight_decay = weightDecay
      return core
    }
  }

  private var isAdamW: Bool {
    if case .adamw = self { true } else { false }
  }

  init(_ core: chainrule_optimizer) {
    let (rate, decay, epsilon) = (core.learning_rate, core.weight_decay, core.epsilon)
    switch core.kind {
    case .sgd:
      self = .sgd(learningRate: rate, momentum: core.momentum, nesterov: core.nesterov, weightDecay: decay)
    case .adagrad:
      self = .adagrad(learningRate: rate, epsilon: epsilon, weightDecay: decay)
    case .rmsprop:
      self = .rmsprop(
        learningRate: rate, alpha: core.alpha, epsilon: epsilon, momentum: core.momentum,
        centered: core.centered, weightDecay: decay)
    case .adam:
      self = .adam(
        learningRate: rate, beta1: core.beta1, beta2: core.beta2, epsilon: epsilon, weightDecay: decay)
    case .adamw:
      self = .adamw(
        learningRate: rate, beta1: core.beta1, beta2: core.beta2, epsilon: epsilon, weightDecay: decay)
    }
  }
}

/// As in a step file: `{"type": "adam", "learningRate": 0.01, …}`; what is left out has its default.
extension Optimizer: Codable {
  private enum CodingKeys: String, CodingKey {
    case type, learningRate, momentum, nesterov, weightDecay, alpha, centered, beta1, beta2, epsilon
  }

  /// Reads the form of a step file; a rule that is not in the catalogue throws with the names there are.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    var kind = chainrule_optimizer_kind.sgd
    let type = try container.decode(String.self, forKey: .type)
    try check { chainrule_optimizer_named(type, &kind, &$0) }
    var core = chainrule_optimizer_default(kind)
    func read<T: Decodable>(_ key: CodingKeys, _ path: WritableKeyPath<chainrule_optimizer, T>) throws {
      if let value = try container.decodeIfPresent(T.self, forKey: key) { core[keyPath: path] = value }
    }
    try read(.learningRate, \.learning_rate)
    try read(.momentum, \.momentum)
    try read(.nesterov, \.nesterov)
    try read(.weightDecay, \.weight_decay)
    try read(.alpha, \.alpha)
    try read(.centered, \.centered)
    try read(.beta1, \.beta1)
    try read(.beta2, \.beta2)
    try read(.epsilon, \.epsilon)
    self.init(core)
  }

  /// Writes every number of the rule.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    let core = core
    try container.encode(name, forKey: .type)
    try container.encode(core.learning_rate, forKey: .learningRate)
    try container.encode(core.weight_decay, forKey: .weightDecay)
    switch self {
    case .sgd:
      try container.encode(core.momentum, forKey: .momentum)
      try container.encode(core.nesterov, forKey: .nesterov)
    case .adagrad:
      try container.encode(core.epsilon, forKey: .epsilon)
    case .rmsprop:
      try container.encode(core.alpha, forKey: .alpha)
      try container.encode(core.epsilon, forKey: .epsilon)
      try container.encode(core.momentum, forKey: .momentum)
      try container.encode(core.centered, forKey: .centered)
    case .adam, .adamw:
      try container.encode(core.beta1, forKey: .beta1)
      try container.encode(core.beta2, forKey: .beta2)
      try container.encode(core.epsilon, forKey: .epsilon)
    }
  }
}
