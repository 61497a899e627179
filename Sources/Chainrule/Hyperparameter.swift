internal import CChainrule

extension Optimizer {
  /// A hyper-parameter of an optimizer: a number or a switch.
  ///
  /// `rawValue` is its name in Swift and in files; the command line's option is the same with hyphens. One
  /// row of the table in `row` holds all its other properties.
  public enum Hyperparameter: String, CaseIterable, Codable, Sendable {
    /// η, the factor of a step.
    case learningRate
    /// The decay of RMSprop's mean of squares.
    case alpha
    /// The decay of Adadelta's means of squares.
    case rho
    /// β₁, the decay of the mean of gradients.
    case beta1
    /// β₂, the decay of the mean of squares.
    case beta2
    /// ε, which keeps a divisor from being 0.
    case epsilon
    /// μ, the fraction of the last step that the next one keeps.
    case momentum
    /// Whether to use Nesterov's momentum.
    case nesterov
    /// Whether RMSprop divides by the variance instead of the mean of squares.
    case centered
    /// Whether Adam divides by the largest mean of squares so far.
    case amsgrad
    /// ψ, the decay of NAdam's momentum schedule.
    case momentumDecay
    /// η⁻, Rprop's factor of a step after the gradient changes its sign.
    case etaMinus
    /// η⁺, Rprop's factor of a step while the gradient keeps its sign.
    case etaPlus
    /// The smallest step of Rprop.
    case stepMin
    /// The largest step of Rprop.
    case stepMax
    /// λ of the L2 penalty, or of decoupled weight decay.
    case weightDecay
    /// λ of the L1 penalty.
    case l1
  }
}

extension Optimizer.Hyperparameter {
  /// A range of finite numbers: from a lower bound, or above it, and below an upper bound if there is one.
  public struct Range: Hashable, Sendable, CustomStringConvertible {
    private let low: Double
    private let includesLow: Bool
    private let high: Double

    init(_ low: Double, below high: Double = .infinity) {
      (self.low, includesLow, self.high) = (low, true, high)
    }

    init(above low: Double, below high: Double = .infinity) {
      (self.low, includesLow, self.high) = (low, false, high)
    }

    /// Returns whether a number is in the range.
    public func contains(_ number: Double) -> Bool {
      (includesLow ? number >= low : number > low) && number < high
    }

    /// "a finite number, 0 or more", "above 0, and less than 1"
    public var description: String {
      let lower = includesLow ? "\(Int(low)) or more" : "above \(Int(low))"
      if high.isFinite { return "\(lower), and less than \(Int(high))" }
      return includesLow ? "a finite number, \(lower)" : "a finite number \(lower)"
    }
  }

  /// The properties of a hyper-parameter except its name.
  private struct Row {
    /// The symbol in formulas; `nil` for a switch.
    var symbol: String?
    /// The meaning, as the beginning of a sentence.
    var meaning: String
    /// The field of the core's struct.
    var field: Field
    /// The allowed numbers; `nil` for a switch.
    var range: Range?
  }

  private enum Field {
    case number(WritableKeyPath<chainrule_optimizer, Double>)
    case flag(WritableKeyPath<chainrule_optimizer, Bool>)
  }

  private var row: Row {
    func number(
      _ symbol: String, _ meaning: String, _ field: WritableKeyPath<chainrule_optimizer, Double>,
      _ range: Range
    ) -> Row {
      Row(symbol: symbol, meaning: meaning, field: .number(field), range: range)
    }
    func flag(_ meaning: String, _ field: WritableKeyPath<chainrule_optimizer, Bool>) -> Row {
      Row(symbol: nil, meaning: meaning, field: .flag(field), range: nil)
    }
    let notNegative = Range(0)
    let positive = Range(above: 0)
    let decay = Range(0, below: 1)
    return switch self {
    case .learningRate: number("η", "Learning rate, the size of an update", \.learning_rate, notNegative)
    case .alpha: number("α", "Decay of the mean of squared gradients", \.alpha, decay)
    case .rho: number("ρ", "Decay of the means of squared gradients and squared updates", \.alpha, decay)
    case .beta1: number("β₁", "Decay of the first moment", \.beta1, decay)
    case .beta2: number("β₂", "Decay of the second moment", \.beta2, decay)
    case .epsilon: number("ε", "Term that keeps the divisor above 0", \.epsilon, positive)
    case .momentum: number("μ", "Momentum", \.momentum, notNegative)
    case .nesterov: flag("Use Nesterov's momentum, which needs a momentum above 0", \.nesterov)
    case .centered: flag("Divide by the standard deviation of the gradient", \.centered)
    case .amsgrad: flag("Divide by the root of the largest second moment so far", \.amsgrad)
    case .momentumDecay:
      number("ψ", "Rate at which the momentum rises to its limit", \.momentum_decay, notNegative)
    case .etaMinus:
      number("η⁻", "Factor of the step after a change of sign", \.eta_minus, Range(above: 0, below: 1))
    case .etaPlus:
      number("η⁺", "Factor of the step while the sign stays", \.eta_plus, Range(above: 1))
    case .stepMin: number("s₋", "Smallest step", \.step_min, notNegative)
    case .stepMax: number("s₊", "Largest step, at least the smallest", \.step_max, notNegative)
    case .weightDecay: number("λ", "L2 regularization", \.weight_decay, notNegative)
    case .l1: number("λ₁", "L1 regularization", \.l1, notNegative)
    }
  }

  /// The symbol in formulas, such as "β₁"; `nil` for a switch.
  public var symbol: String? { row.symbol }

  /// The meaning, such as "Decay of the first moment".
  public var meaning: String { row.meaning }

  /// The allowed numbers, which the core also enforces; `nil` for a switch.
  public var range: Range? { row.range }

  /// Whether it is a switch, with the values 1 and 0.
  public var isSwitch: Bool { row.range == nil }

  /// The rules with this hyper-parameter, in the catalogue's order.
  public var kinds: [Optimizer.Kind] { Optimizer.Kind.allCases.filter { $0.default[self] != nil } }

  /// The option on the command line, such as "--momentum-decay".
  package var option: String { "--" + words.joined(separator: "-") }

  /// The name in the core's errors, such as "momentum decay".
  var spelledOut: String { words.joined(separator: " ") }

  /// The words of the name: "momentum" and "decay".
  private var words: [String] {
    rawValue.reduce(into: [""]) { words, letter in
      if letter.isUppercase { words.append("") }
      words[words.count - 1] += letter.lowercased()
    }
  }

  /// The error for a name in a file or an option: "beta1 is not a hyper-parameter of sgd; adam and lion have
  /// it".
  package func isNot(of kind: Optimizer.Kind, named name: String) -> String {
    "\(name) is not a hyper-parameter of \(kind.rawValue); \(list(kinds.map(\.rawValue))) "
      + (kinds.count == 1 ? "has it" : "have it")
  }

  func set(_ number: Double, of core: inout chainrule_optimizer) {
    switch row.field {
    case .number(let field): core[keyPath: field] = number
    case .flag(let field): core[keyPath: field] = number != 0
    }
  }
}

// MARK: - In files

extension Optimizer.Hyperparameter {
  private struct Key: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }
  }

  /// The keys of an optimizer's JSON.
  package static var keys: [String] { ["type"] + allCases.map(\.rawValue) }

  /// Reads the name of the rule and the given values. Other keys are ignored.
  package static func decode(
    from decoder: any Decoder, requiring required: Self? = nil
  ) throws -> (type: String, numbers: [Self: Double]) {
    let container = try decoder.container(keyedBy: Key.self)
    var numbers: [Self: Double] = [:]
    for hyperparameter in allCases {
      let key = Key(hyperparameter.rawValue)
      numbers[hyperparameter] =
        hyperparameter.isSwitch
        ? try container.decodeIfPresent(Bool.self, forKey: key).map { $0 ? 1 : 0 }
        : try container.decodeIfPresent(Double.self, forKey: key)
    }
    if let required { _ = try container.decode(Double.self, forKey: Key(required.rawValue)) }
    return (try container.decode(String.self, forKey: Key("type")), numbers)
  }

  /// `{"type": "sgd", "learningRate": 0.1, "nesterov": true, …}`
  package static func encode(_ type: String, _ numbers: [Self: Double], to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(type, forKey: Key("type"))
    for hyperparameter in allCases {
      guard let number = numbers[hyperparameter] else { continue }
      let key = Key(hyperparameter.rawValue)
      if hyperparameter.isSwitch {
        try container.encode(number != 0, forKey: key)
      } else {
        try container.encode(number, forKey: key)
      }
    }
  }
}
