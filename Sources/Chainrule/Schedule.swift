internal import CChainrule

/// How the learning rate changes as training goes on, with PyTorch's rules and defaults.
///
///     let schedule = Schedule(.cosine(length: 45), warmUp: 5)
///     let trainer = try Trainer(
///       network, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1), options: TrainerOptions(schedule: schedule))
///
/// A rate is a function of the schedule, the optimizer's learning rate η, and t, the epochs or steps done. Numbers out
/// of their range are refused where a ``Trainer`` is made.
public struct Schedule: Hashable, Sendable {
  /// What becomes of η after t epochs or steps.
  public enum Rule: Hashable, Sendable {
    /// η
    case constant
    /// η γ^⌊t / N⌋: γ is `factor` > 0, N is `length` ≥ 1.
    case step(length: Int, factor: Double = 0.1)
    /// η γᵗ: γ is `factor` > 0.
    case exponential(factor: Double)
    /// m + (η − m) (1 + cos(π t / T)) / 2: T is `length` ≥ 1, m is `minimum` ≥ 0. Behind T the rate goes up again, as
    /// PyTorch's does (Loshchilov & Hutter 2017).
    case cosine(length: Int, minimum: Double = 0)
    /// As `cosine`, from η anew after T, then after `growth` T, `growth`² T, …; growth ≥ 1 (Loshchilov & Hutter 2017)
    case cosineRestarts(length: Int, growth: Int = 1, minimum: Double = 0)
    /// From η / d up to η in the part `rise` of the T = `length` ≥ 2 updates, 0 ≤ rise ≤ 1, then down to η / (d e), each
    /// half a cosine; there the rate stays. d is `divisor` > 0, e `finalDivisor` > 0 (Smith & Topin 2018).
    case oneCycle(length: Int, rise: Double = 0.3, divisor: Double = 25, finalDivisor: Double = 1e4)
    /// η ← max(γ η, m) after more than `patience` ≥ 0 epochs in a row whose loss was no better than the best; the
    /// next `cooldown` ≥ 0 epochs do not count. γ is `factor`, 0 < γ < 1, m is `minimum` ≥ 0. The loss is that of the
    /// validation, where there is one.
    case plateau(
      factor: Double = 0.1, patience: Int = 10, threshold: Threshold = .relative(1e-4), cooldown: Int = 0,
      minimum: Double = 0)
  }

  /// What t and every length count.
  public enum Unit: String, Hashable, Sendable, CaseIterable, Codable {
    /// Epochs: all of its steps have the same rate.
    case epoch
    /// Updates
    case step
  }

  /// How far below the best loss b a loss must be to be better.
  public enum Threshold: Hashable, Sendable {
    /// Below b (1 − τ), 0 ≤ τ < 1.
    case relative(Double)
    /// Below b − τ, τ ≥ 0.
    case absolute(Double)
  }

  /// What becomes of η behind the warm-up.
  public var rule: Rule
  /// What t and every length count.
  public var unit: Unit
  /// The epochs or steps, before the rule begins, in which the rate rises to the first of the rule, ≥ 0.
  public var warmUp: Int
  /// The rate at the start of the warm-up over that at its end, 0 < f ≤ 1.
  public var warmUpFactor: Double

  /// A rule behind a linear warm-up of so many epochs or steps.
  public init(_ rule: Rule, per unit: Unit = .epoch, warmUp: Int = 0, warmUpFactor: Double = 1.0 / 3) {
    self.rule = rule
    self.unit = unit
    self.warmUp = warmUp
    self.warmUpFactor = warmUpFactor
  }

  /// η throughout.
  public static let constant = Schedule(.constant)

  /// The name that files and the command line use.
  public var name: String { String(cString: chainrule_schedule_name(core.kind)) }

  /// The rule in ASCII, as a terminal shows it.
  public var formula: String { String(cString: chainrule_schedule_formula(core.kind)) }

  /// The names of all rules.
  public static let names = (0..<UInt32(CHAINRULE_SCHEDULE_COUNT)).map {
    String(cString: chainrule_schedule_name(chainrule_schedule_kind(rawValue: $0)!))
  }

  /// The rule of that name with its default numbers, but for those that are given; a number that the rule does not have
  /// is left aside, and one that has no default must be given: the length, and the factor of `exponential`.
  ///
  /// - Throws: `ChainruleError.invalidArgument` with the names there are.
  public init(
    named name: String, length: Int? = nil, factor: Double? = nil, patience: Int? = nil,
    minimum: Double? = nil,
    per unit: Unit = .epoch, warmUp: Int = 0
  ) throws(ChainruleError) {
    var kind = chainrule_schedule_kind.constant
    try check { chainrule_schedule_named(name, &kind, &$0) }
    var core = chainrule_schedule_default(kind)
    if let length { core.length = Int64(length) }
    if let factor { core.factor = factor }
    if let patience { core.patience = Int64(patience) }
    if let minimum { core.minimum = minimum }
    core.warm_up = Int64(warmUp)
    self.init(core)
    self.unit = unit
  }

  /// The rate after t epochs or steps, where η is the optimizer's; of a plateau, while the loss falls.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for a number of the schedule's that is out of its range,
  ///   `.invalidValue` for a t below 0.
  public func learningRate(_ η: Double, at t: Int) throws(ChainruleError) -> Double {
    guard t >= 0 else { throw .invalidValue(name: "t", value: "\(t)", expected: "0 or more") }
    var core = core
    try check { chainrule_schedule_check(&core, &$0) }
    return chainrule_schedule_rate(&core, η, UInt64(t), nil)
  }

  var core: chainrule_schedule {
    var core: chainrule_schedule
    switch rule {
    case .constant:
      core = chainrule_schedule_default(.constant)
    case .step(let length, let factor):
      core = chainrule_schedule_default(.step)
      core.length = Int64(length)
      core.factor = factor
    case .exponential(let factor):
      core = chainrule_schedule_default(.exponential)
      core.factor = factor
    case .cosine(let length, let minimum):
      core = chainrule_schedule_default(.cosine)
      core.length = Int64(length)
      core.minimum = minimum
    case .cosineRestarts(let length, let growth, let minimum):
      core = chainrule_schedule_default(.cosineRestarts)
      core.length = Int64(length)
      core.growth = Int64(growth)
      core.minimum = minimum
    case .oneCycle(let length, let rise, let divisor, let finalDivisor):
      core = chainrule_schedule_default(.oneCycle)
      core.length = Int64(length)
      core.rise = rise
      core.divisor = divisor
      core.final_divisor = finalDivisor
    case .plateau(let factor, let patience, let threshold, let cooldown, let minimum):
      core = chainrule_schedule_default(.plateau)
      core.factor = factor
      core.patience = Int64(patience)
      (core.threshold, core.absolute) = threshold.core
      core.cooldown = Int64(cooldown)
      core.minimum = minimum
    }
    core.unit = unit == .epoch ? .epoch : .step
    core.warm_up = Int64(warmUp)
    core.warm_up_factor = warmUpFactor
    return core
  }

  init(_ core: chainrule_schedule) {
    let length = Int(core.length)
    rule =
      switch core.kind {
      case .constant: .constant
      case .step: .step(length: length, factor: core.factor)
      case .exponential: .exponential(factor: core.factor)
      case .cosine: .cosine(length: length, minimum: core.minimum)
      case .cosineRestarts:
        .cosineRestarts(length: length, growth: Int(core.growth), minimum: core.minimum)
      case .oneCycle:
        .oneCycle(
          length: length, rise: core.rise, divisor: core.divisor, finalDivisor: core.final_divisor)
      case .plateau:
        .plateau(
          factor: core.factor, patience: Int(core.patience),
          threshold: core.absolute ? .absolute(core.threshold) : .relative(core.threshold),
          cooldown: Int(core.cooldown), minimum: core.minimum)
      }
    unit =
      switch core.unit {
      case .epoch: .epoch
      case .step: .step
      }
    warmUp = Int(core.warm_up)
    warmUpFactor = core.warm_up_factor
  }
}

extension Schedule.Threshold {
  fileprivate var core: (threshold: Double, absolute: Bool) {
    switch self {
    case .relative(let threshold): (threshold, false)
    case .absolute(let threshold): (threshold, true)
    }
  }
}

/// `{"type": "cosine", "length": 45, "warmUp": 5, …}`; what is left out has its default.
extension Schedule: Codable {
  private enum CodingKeys: String, CodingKey {
    case type, unit, warmUp, warmUpFactor, length, growth, factor, minimum, rise, divisor, finalDivisor
    case patience, cooldown, threshold, absolute
  }

  /// A rule that is not in the catalogue throws with the names there are.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    var kind = chainrule_schedule_kind.constant
    let type = try container.decode(String.self, forKey: .type)
    try check { chainrule_schedule_named(type, &kind, &$0) }
    var core = chainrule_schedule_default(kind)
    func read<T: Decodable>(_ key: CodingKeys, _ path: WritableKeyPath<chainrule_schedule, T>) throws {
      if let value = try container.decodeIfPresent(T.self, forKey: key) { core[keyPath: path] = value }
    }
    try read(.warmUp, \.warm_up)
    try read(.warmUpFactor, \.warm_up_factor)
    try read(.length, \.length)
    try read(.growth, \.growth)
    try read(.factor, \.factor)
    try read(.minimum, \.minimum)
    try read(.rise, \.rise)
    try read(.divisor, \.divisor)
    try read(.finalDivisor, \.final_divisor)
    try read(.patience, \.patience)
    try read(.cooldown, \.cooldown)
    try read(.threshold, \.threshold)
    try read(.absolute, \.absolute)
    self.init(core)
    unit = try container.decodeIfPresent(Unit.self, forKey: .unit) ?? .epoch
  }

  /// Writes every number of the rule.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .type)
    try container.encode(unit, forKey: .unit)
    try container.encode(warmUp, forKey: .warmUp)
    try container.encode(warmUpFactor, forKey: .warmUpFactor)
    switch rule {
    case .constant: break
    case .step(let length, let factor):
      try container.encode(length, forKey: .length)
      try container.encode(factor, forKey: .factor)
    case .exponential(let factor):
      try container.encode(factor, forKey: .factor)
    case .cosine(let length, let minimum):
      try container.encode(length, forKey: .length)
      try container.encode(minimum, forKey: .minimum)
    case .cosineRestarts(let length, let growth, let minimum):
      try container.encode(length, forKey: .length)
      try container.encode(growth, forKey: .growth)
      try container.encode(minimum, forKey: .minimum)
    case .oneCycle(let length, let rise, let divisor, let finalDivisor):
      try container.encode(length, forKey: .length)
      try container.encode(rise, forKey: .rise)
      try container.encode(divisor, forKey: .divisor)
      try container.encode(finalDivisor, forKey: .finalDivisor)
    case .plateau(let factor, let patience, let threshold, let cooldown, let minimum):
      try container.encode(factor, forKey: .factor)
      try container.encode(patience, forKey: .patience)
      try container.encode(threshold.core.threshold, forKey: .threshold)
      try container.encode(threshold.core.absolute, forKey: .absolute)
      try container.encode(cooldown, forKey: .cooldown)
      try container.encode(minimum, forKey: .minimum)
    }
  }
}
