internal import CChainrule

/// How an update turns gradients g into parameters p, with PyTorch's rules and defaults; `lion` has its authors'.
///
/// η is `learningRate` ≥ 0; λ is `weightDecay` ≥ 0, added to the gradient as λ p but in `adamw` and `lion`; λ₁ is
/// `l1` ≥ 0, added to the gradient as λ₁ sign p, where sign 0 = 0. Numbers out of their range are refused where a
/// ``Trainer`` is made.
public enum Optimizer: Hashable, Sendable {
  /// v ← μ v + g, p ← p − η v; with `nesterov`, p ← p − η (g + μ v). μ is `momentum` ≥ 0.
  case sgd(
    learningRate: Double = 0.001, momentum: Double = 0, nesterov: Bool = false, weightDecay: Double = 0,
    l1: Double = 0)
  /// s ← s + g², p ← p − η g / (√s + ε) (Duchi et al. 2011)
  case adagrad(
    learningRate: Double = 0.01, epsilon: Double = 1e-10, weightDecay: Double = 0, l1: Double = 0)
  /// s ← α s + (1 − α) g², p ← p − η g / (√s + ε); `centered` takes the running mean's square from s, and
  /// `momentum` smooths the quotient (Hinton 2012; Graves 2013)
  case rmsprop(
    learningRate: Double = 0.01, alpha: Double = 0.99, epsilon: Double = 1e-8, momentum: Double = 0,
    centered: Bool = false, weightDecay: Double = 0, l1: Double = 0)
  /// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², p ← p − η m̂ / (√v̂ + ε), where m̂ = m / (1 − β₁ᵗ) and
  /// v̂ = v / (1 − β₂ᵗ) (Kingma & Ba 2015); `amsgrad` takes the largest v so far (Reddi et al. 2018)
  case adam(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    amsgrad: Bool = false, weightDecay: Double = 0, l1: Double = 0)
  /// p ← p − η λ p, then as `adam` without λ (Loshchilov & Hutter 2019)
  case adamw(
    learningRate: Double = 0.001, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    amsgrad: Bool = false, weightDecay: Double = 0.01, l1: Double = 0)
  /// s ← ρ s + (1 − ρ) g², d = g √((u + ε) / (s + ε)), u ← ρ u + (1 − ρ) d², p ← p − η d (Zeiler 2012)
  case adadelta(
    learningRate: Double = 1, rho: Double = 0.9, epsilon: Double = 1e-6, weightDecay: Double = 0,
    l1: Double = 0)
  /// m as in `adam`, s ← max(β₂ s, |g| + ε), p ← p − η m̂ / s (Kingma & Ba 2015)
  case adamax(
    learningRate: Double = 0.002, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    weightDecay: Double = 0, l1: Double = 0)
  /// m and v as in `adam`, p ← p − η (μₜ₊₁ m / (1 − μ₁…μₜ₊₁) + (1 − μₜ) g / (1 − μ₁…μₜ)) / (√v̂ + ε), where
  /// μₜ = β₁ (1 − ½ 0.96^(t ψ)) and ψ is `momentumDecay` ≥ 0 (Dozat 2016)
  case nadam(
    learningRate: Double = 0.002, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8,
    momentumDecay: Double = 0.004, weightDecay: Double = 0, l1: Double = 0)
  /// p ← p − s sign g, with a step s of each parameter's own, at first η: `etaPlus` times as long where g keeps
  /// its sign, `etaMinus` times where it turns, which also makes g 0; from `stepMin` to `stepMax`. Meant for
  /// batches of all the data (Riedmiller & Braun 1993).
  case rprop(
    learningRate: Double = 0.01, etaMinus: Double = 0.5, etaPlus: Double = 1.2, stepMin: Double = 1e-6,
    stepMax: Double = 50, weightDecay: Double = 0, l1: Double = 0)
  /// p ← p − η (sign(β₁ m + (1 − β₁) g) + λ p), then m ← β₂ m + (1 − β₂) g (Chen et al. 2023)
  case lion(
    learningRate: Double = 0.0001, beta1: Double = 0.9, beta2: Double = 0.99, weightDecay: Double = 0,
    l1: Double = 0)

  /// The name that files and the command line use.
  public var name: String { String(cString: chainrule_optimizer_name(core.kind)) }

  /// The update in ASCII, as a terminal shows it.
  public var formula: String { String(cString: chainrule_optimizer_formula(core.kind)) }

  /// η
  public var learningRate: Double { core.learning_rate }
  /// λ
  public var weightDecay: Double { core.weight_decay }

  /// The names of all optimizers.
  public static let names = (0..<UInt32(CHAINRULE_OPTIMIZER_COUNT)).map {
    String(cString: chainrule_optimizer_name(chainrule_optimizer_kind(rawValue: $0)!))
  }

  /// The optimizer of that name with its default numbers, but for those that are given.
  ///
  /// - Throws: `ChainruleError.invalidArgument` with the names there are.
  public init(
    named name: String, learningRate: Double? = nil, weightDecay: Double? = nil, l1: Double? = nil
  ) throws(ChainruleError) {
    var kind = chainrule_optimizer_kind.sgd
    try check { chainrule_optimizer_named(name, &kind, &$0) }
    var core = chainrule_optimizer_default(kind)
    if let learningRate { core.learning_rate = learningRate }
    if let weightDecay { core.weight_decay = weightDecay }
    if let l1 { core.l1 = l1 }
    self.init(core)
  }

  var core: chainrule_optimizer {
    func core(
      _ kind: chainrule_optimizer_kind, _ learningRate: Double, _ weightDecay: Double, _ l1: Double,
      _ set: (inout chainrule_optimizer) -> Void
    ) -> chainrule_optimizer {
      var core = chainrule_optimizer_default(kind)
      core.learning_rate = learningRate
      core.weight_decay = weightDecay
      core.l1 = l1
      set(&core)
      return core
    }
    switch self {
    case .sgd(let learningRate, let momentum, let nesterov, let weightDecay, let l1):
      return core(.sgd, learningRate, weightDecay, l1) {
        $0.momentum = momentum
        $0.nesterov = nesterov
      }
    case .adagrad(let learningRate, let epsilon, let weightDecay, let l1):
      return core(.adagrad, learningRate, weightDecay, l1) { $0.epsilon = epsilon }
    case .rmsprop(
      let learningRate, let alpha, let epsilon, let momentum, let centered, let weightDecay, let l1):
      return core(.rmsprop, learningRate, weightDecay, l1) {
        $0.alpha = alpha
        $0.epsilon = epsilon
        $0.momentum = momentum
        $0.centered = centered
      }
    case .adam(let learningRate, let beta1, let beta2, let epsilon, let amsgrad, let weightDecay, let l1),
      .adamw(let learningRate, let beta1, let beta2, let epsilon, let amsgrad, let weightDecay, let l1):
      return core(isAdamW ? .adamw : .adam, learningRate, weightDecay, l1) {
        $0.beta1 = beta1
        $0.beta2 = beta2
        $0.epsilon = epsilon
        $0.amsgrad = amsgrad
      }
    case .adadelta(let learningRate, let rho, let epsilon, let weightDecay, let l1):
      return core(.adadelta, learningRate, weightDecay, l1) {
        $0.alpha = rho
        $0.epsilon = epsilon
      }
    case .adamax(let learningRate, let beta1, let beta2, let epsilon, let weightDecay, let l1):
      return core(.adamax, learningRate, weightDecay, l1) {
        $0.beta1 = beta1
        $0.beta2 = beta2
        $0.epsilon = epsilon
      }
    case .nadam(
      let learningRate, let beta1, let beta2, let epsilon, let momentumDecay, let weightDecay, let l1):
      return core(.nadam, learningRate, weightDecay, l1) {
        $0.beta1 = beta1
        $0.beta2 = beta2
        $0.epsilon = epsilon
        $0.momentum_decay = momentumDecay
      }
    case .rprop(
      let learningRate, let etaMinus, let etaPlus, let stepMin, let stepMax, let weightDecay, let l1):
      return core(.rprop, learningRate, weightDecay, l1) {
        $0.eta_minus = etaMinus
        $0.eta_plus = etaPlus
        $0.step_min = stepMin
        $0.step_max = stepMax
      }
    case .lion(let learningRate, let beta1, let beta2, let weightDecay, let l1):
      return core(.lion, learningRate, weightDecay, l1) {
        $0.beta1 = beta1
        $0.beta2 = beta2
      }
    }
  }

  private var isAdamW: Bool {
    if case .adamw = self { true } else { false }
  }

  init(_ core: chainrule_optimizer) {
    let (rate, decay, l1, epsilon) = (core.learning_rate, core.weight_decay, core.l1, core.epsilon)
    let (beta1, beta2) = (core.beta1, core.beta2)
    switch core.kind {
    case .sgd:
      self = .sgd(
        learningRate: rate, momentum: core.momentum, nesterov: core.nesterov, weightDecay: decay, l1: l1)
    case .adagrad:
      self = .adagrad(learningRate: rate, epsilon: epsilon, weightDecay: decay, l1: l1)
    case .rmsprop:
      self = .rmsprop(
        learningRate: rate, alpha: core.alpha, epsilon: epsilon, momentum: core.momentum,
        centered: core.centered, weightDecay: decay, l1: l1)
    case .adam:
      self = .adam(
        learningRate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon, amsgrad: core.amsgrad,
        weightDecay: decay, l1: l1)
    case .adamw:
      self = .adamw(
        learningRate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon, amsgrad: core.amsgrad,
        weightDecay: decay, l1: l1)
    case .adadelta:
      self = .adadelta(learningRate: rate, rho: core.alpha, epsilon: epsilon, weightDecay: decay, l1: l1)
    case .adamax:
      self = .adamax(
        learningRate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: decay, l1: l1)
    case .nadam:
      self = .nadam(
        learningRate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon, momentumDecay: core.momentum_decay,
        weightDecay: decay, l1: l1)
    case .rprop:
      self = .rprop(
        learningRate: rate, etaMinus: core.eta_minus, etaPlus: core.eta_plus, stepMin: core.step_min,
        stepMax: core.step_max, weightDecay: decay, l1: l1)
    case .lion:
      self = .lion(learningRate: rate, beta1: beta1, beta2: beta2, weightDecay: decay, l1: l1)
    }
  }
}

/// As in a step file: `{"type": "adam", "learningRate": 0.01, …}`; what is left out has its default.
extension Optimizer: Codable {
  private enum CodingKeys: String, CodingKey {
    case type, learningRate, momentum, nesterov, weightDecay, l1, alpha, rho, centered, beta1, beta2, epsilon
    case amsgrad, momentumDecay, etaMinus, etaPlus, stepMin, stepMax
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
    try read(.l1, \.l1)
    try read(kind == .adadelta ? .rho : .alpha, \.alpha)
    try read(.centered, \.centered)
    try read(.beta1, \.beta1)
    try read(.beta2, \.beta2)
    try read(.epsilon, \.epsilon)
    try read(.amsgrad, \.amsgrad)
    try read(.momentumDecay, \.momentum_decay)
    try read(.etaMinus, \.eta_minus)
    try read(.etaPlus, \.eta_plus)
    try read(.stepMin, \.step_min)
    try read(.stepMax, \.step_max)
    self.init(core)
  }

  /// Writes every number of the rule.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    let core = core
    try container.encode(name, forKey: .type)
    try container.encode(core.learning_rate, forKey: .learningRate)
    try container.encode(core.weight_decay, forKey: .weightDecay)
    try container.encode(core.l1, forKey: .l1)
    func encodeMoments() throws {
      try container.encode(core.beta1, forKey: .beta1)
      try container.encode(core.beta2, forKey: .beta2)
      try container.encode(core.epsilon, forKey: .epsilon)
    }
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
      try encodeMoments()
      try container.encode(core.amsgrad, forKey: .amsgrad)
    case .adadelta:
      try container.encode(core.alpha, forKey: .rho)
      try container.encode(core.epsilon, forKey: .epsilon)
    case .adamax:
      try encodeMoments()
    case .nadam:
      try encodeMoments()
      try container.encode(core.momentum_decay, forKey: .momentumDecay)
    case .rprop:
      try container.encode(core.eta_minus, forKey: .etaMinus)
      try container.encode(core.eta_plus, forKey: .etaPlus)
      try container.encode(core.step_min, forKey: .stepMin)
      try container.encode(core.step_max, forKey: .stepMax)
    case .lion:
      try container.encode(core.beta1, forKey: .beta1)
      try container.encode(core.beta2, forKey: .beta2)
    }
  }
}
