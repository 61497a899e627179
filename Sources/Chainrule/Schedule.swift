internal import CChainrule

/// A rule for changing the learning rate during training, as in PyTorch and with its defaults.
///
///     let schedule = Schedule(.cosine(length: 45), warmUp: 5)
///     let trainer = try Trainer(
///       network, loss: .crossEntropy, optimizer: .sgd(learningRate: 0.1),
///       options: TrainerOptions(schedule: schedule))
///
/// The rate is a function of the schedule, the optimizer's learning rate η, and t, the number of completed
/// epochs or steps. A ``Trainer`` refuses numbers that are out of their range.
public struct Schedule: Hashable, Sendable {
  /// The rate after t epochs or steps, as a function of η.
  public enum Rule: Hashable, Sendable {
    /// η
    case constant
    /// η γ^⌊t / N⌋: γ is `factor` > 0, N is `length` ≥ 1.
    case step(length: Int, factor: Double = 0.1)
    /// η γᵗ: γ is `factor` > 0.
    case exponential(factor: Double)
    /// m + (η − m) (1 + cos(π t / T)) / 2: T is `length` ≥ 1, m is `minimum` ≥ 0. After T the rate rises
    /// again, as PyTorch's does (Loshchilov & Hutter 2017).
    case cosine(length: Int, minimum: Double = 0)
    /// As `cosine`, restarted from η after T, then after another `growth` T, `growth`² T, …; growth ≥ 1
    /// (Loshchilov & Hutter 2017)
    case cosineRestarts(length: Int, growth: Int = 1, minimum: Double = 0)
    /// Rises from η / d to η during the fraction `rise` of the T = `length` ≥ 2 updates, 0 ≤ rise ≤ 1, then
    /// falls to η / (d e), each along half a cosine; the rate stays there. d is `divisor` > 0, e is
    /// `finalDivisor` > 0 (Smith & Topin 2018).
    case oneCycle(length: Int, rise: Double = 0.3, divisor: Double = 25, finalDivisor: Double = 1e4)
    /// η ← max(γ η, m) after more than `patience` ≥ 0 epochs in a row whose loss was no better than the best;
    /// the next `cooldown` ≥ 0 epochs do not count. γ is `factor`, 0 < γ < 1, m is `minimum` ≥ 0. The loss is
    /// the validation loss if there is validation data.
    case plateau(
      factor: Double = 0.1, patience: Int = 10, threshold: Threshold = .relative(1e-4), cooldown: Int = 0,
      minimum: Double = 0)
  }

  /// The unit of t and of every length.
  public enum Unit: String, Hashable, Sendable, CaseIterable, Codable {
    /// Epochs: all steps of an epoch have the same rate.
    case epoch
    /// Updates
    case step
  }

  /// How far a loss must be below the best loss b to count as better.
  public enum Threshold: Hashable, Sendable {
    /// Below b (1 − τ), 0 ≤ τ < 1.
    case relative(Double)
    /// Below b − τ, τ ≥ 0.
    case absolute(Double)
  }

  /// The rule after the warm-up.
  public var rule: Rule
  /// The unit of t and of every length.
  public var unit: Unit
  /// The number of epochs or steps before the rule begins, in which the rate rises to the rule's first rate,
  /// ≥ 0.
  public var warmUp: Int
  /// The ratio of the rates at the start and at the end of the warm-up, 0 < f ≤ 1.
  public var warmUpFactor: Double

  /// Creates a schedule: a linear warm-up of `warmUp` epochs or steps, then the rule.
  public init(_ rule: Rule, per unit: Unit = .epoch, warmUp: Int = 0, warmUpFactor: Double = 1.0 / 3) {
    self.rule = rule
    self.unit = unit
    self.warmUp = warmUp
    self.warmUpFactor = warmUpFactor
  }

  /// A constant rate η.
  public static let constant = Schedule(.constant)

  /// The name in files and on the command line.
  public var name: String { String(cString: chainrule_schedule_name(core.kind)) }

  /// The rule in ASCII, for a terminal.
  public var formula: String { String(cString: chainrule_schedule_formula(core.kind)) }

  /// The names of all rules.
  public static let names = (0..<UInt32(CHAINRULE_SCHEDULE_COUNT)).map {
    String(cString: chainrule_schedule_name(chainrule_schedule_kind(rawValue: $0)!))
  }

  /// Creates the rule of the given name from the given numbers and defaults. A number that the rule does not
  /// have is ignored. The numbers without a default are required: the length, and the factor of
  /// `exponential`.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for an unknown name; the error lists the names.
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

  /// Returns the rate after t epochs or steps for the optimizer's rate η; for a plateau, the rate while the
  /// loss still falls.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for a number of the schedule that is out of its range,
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

/// The JSON form: `{"type": "cosine", "length": 45, "warmUp": 5, …}`; missing numbers have their defaults.
extension Schedule: Codable {
  private enum CodingKeys: String, CodingKey {
    case type, unit, warmUp, warmUpFactor, length, growth, factor, minimum, rise, divisor, finalDivisor
    case patience, cooldown, threshold, absolute
  }

  /// Reads a schedule. For an unknown rule, the error lists the names.
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
