import Chainrule

// The optimizers' rules, as a textbook writes them. A new one does not compile before it has its rule here.

/// The update of one parameter w by its gradient g: assignments, done in their order.
///
/// The rule is written once. With symbols it is the text's formula; with numbers it gives the equations of a parameter and
/// the state that the optimizer keeps of it.
struct UpdateRule {
  struct Assignment {
    var name: String
    var relation: Walkthrough.Relation
    var formula: Formula
  }

  var assignments: [Assignment]
  /// What is kept from one step to the next, 0 before the first unless `start` says otherwise.
  var state: [String] = []
  /// First values of the state, in symbols.
  var start: [String: Formula] = [:]
  /// What else the rule uses, for the list of symbols.
  var symbols: [(term: String, meaning: String)] = []

  /// "m ← β₁·m + (1 − β₁)·g"
  var formulas: [String] {
    assignments.map { "\($0.name) \($0.relation.rawValue) \(FormulaText()($0.formula))" }
  }
}

extension Optimizer {
  /// The update without what is switched off.
  var updateRule: UpdateRule {
    let (λ, λ1) = (isOn(.weightDecay), isOn(.l1))
    func becomes(_ name: String, _ formula: Formula) -> UpdateRule.Assignment {
      UpdateRule.Assignment(name: name, relation: .becomes, formula: formula)
    }
    func equals(_ name: String, _ formula: Formula) -> UpdateRule.Assignment {
      UpdateRule.Assignment(name: name, relation: .equals, formula: formula)
    }
    func mean(_ β: Formula, _ old: Formula, _ new: Formula) -> Formula { β * old + (1 - β) * new }
    func step(_ direction: Formula) -> UpdateRule.Assignment { becomes("w", "w" - "η" * direction) }

    let penalties: [Formula] = (λ ? ["λ" * "w"] : []) + (λ1 ? ["λ₁" * .sign("w")] : [])
    let regularised = Formula.sum(of: ["g"] + penalties)
    let decayed = penalties.isEmpty ? [] : [becomes("g", regularised)]
    let sparse = λ1 ? [becomes("g", "g" + "λ₁" * .sign("w"))] : []
    let moments = [becomes("m", mean("β₁", "m", "g")), becomes("v", mean("β₂", "v", Formula("g").squared))]
    let corrected = equals("m̂", "m" / (1 - .power("β₁", "t")))
    let amsgrad = isOn(.amsgrad)
    let adam =
      moments + (amsgrad ? [becomes("v′", .max("v′", "v"))] : []) + [
        corrected, equals("v̂", (amsgrad ? "v′" : "v") / (1 - .power("β₂", "t"))),
        step("m̂" / (√"v̂" + "ε")),
      ]
    let moment = ("m, v", "the running means of g and of g²")
    let unbiased = ("m̂, v̂", "m and v without their pull to 0 in the first steps; t counts the steps")
    let adamState = ["m", "v"] + (amsgrad ? ["v′"] : [])
    let adamSymbols =
      [moment] + (amsgrad ? [("v′", "the largest v so far")] : []) + [unbiased]
    let velocity = ("v", "the velocity, which keeps a part μ of the steps before")

    switch kind {
    case .sgd:
      guard isOn(.momentum) else { return UpdateRule(assignments: [step(regularised)]) }
      return UpdateRule(
        assignments: decayed + [
          becomes("v", "μ" * "v" + "g"), step(isOn(.nesterov) ? "g" + "μ" * "v" : "v"),
        ], state: ["v"], symbols: [velocity])
    case .adagrad:
      return UpdateRule(
        assignments: decayed + [becomes("s", "s" + Formula("g").squared), step("g" / (√"s" + "ε"))],
        state: ["s"], symbols: [("s", "the sum of all g²")])
    case .rmsprop:
      let (centered, hasMomentum) = (isOn(.centered), isOn(.momentum))
      let direction =
        centered
        ? "g" / (√.max(0, "s" - Formula("m").squared) + "ε") : "g" / (√"s" + "ε")
      return UpdateRule(
        assignments: decayed + [becomes("s", mean("α", "s", Formula("g").squared))]
          + (centered ? [becomes("m", mean("α", "m", "g"))] : [])
          + (hasMomentum ? [becomes("v", "μ" * "v" + direction), step("v")] : [step(direction)]),
        state: ["s"] + (centered ? ["m"] : []) + (hasMomentum ? ["v"] : []),
        symbols: [("s", "the running mean of g²")] + (centered ? [("m", "the running mean of g")] : [])
          + (hasMomentum ? [velocity] : []))
    case .adam:
      return UpdateRule(assignments: decayed + adam, state: adamState, symbols: adamSymbols)
    case .adamw:
      return UpdateRule(
        assignments: sparse + (λ ? [becomes("w", "w" - "η" * "λ" * "w")] : []) + adam, state: adamState,
        symbols: adamSymbols)
    case .adadelta:
      return UpdateRule(
        assignments: decayed + [
          becomes("s", mean("ρ", "s", Formula("g").squared)),
          equals("d", "g" * √(("u" + "ε") / ("s" + "ε"))),
          becomes("u", mean("ρ", "u", Formula("d").squared)), step("d"),
        ], state: ["s", "u"], symbols: [("s, u", "the running means of g² and of d²")])
    case .adamax:
      return UpdateRule(
        assignments: decayed + [
          moments[0], becomes("s", .max("β₂" * "s", .abs("g") + "ε")), corrected, step("m̂" / "s"),
        ], state: ["m", "s"],
        symbols: [
          ("m", "the running mean of g"), ("s", "the fading maximum of |g|"), ("t", "counts the steps"),
        ])
    case .nadam:
      func μ(_ t: Formula) -> Formula { "β₁" * (1 - .half * .power(0.96, t * "ψ")) }
      return UpdateRule(
        assignments: decayed + moments + [
          equals("μ", μ("t")), equals("μ′", μ("t" + 1)), becomes("Π", "Π" * "μ"),
          equals("m̂", "μ′" * "m" / (1 - "Π" * "μ′")), equals("ĝ", (1 - "μ") * "g" / (1 - "Π")),
          equals("v̂", "v" / (1 - .power("β₂", "t"))), step(("m̂" + "ĝ") / (√"v̂" + "ε")),
        ], state: ["m", "v", "Π"], start: ["Π": 1],
        symbols: [
          moment, ("μ, μ′", "the momentum of step t and of the next"), ("Π", "the product of all μ so far"),
        ])
    case .rprop:
      let turned = Formula.cases(0 > "q", "η⁻" * "s", else: "s")
      return UpdateRule(
        assignments: decayed + [
          equals("q", .sign("g") * .sign("g′")),
          becomes("s", .cases("q" > 0, "η⁺" * "s", else: turned)),
          becomes("s", .min(.max("s", "s₋"), "s₊")), becomes("g", .cases(0 > "q", 0, else: "g")),
          becomes("w", "w" - "s" * .sign("g")), becomes("g′", "g"),
        ], state: ["s", "g′"], start: ["s": "η"],
        symbols: [
          ("s", "the step of each parameter, η before step 1"), ("g′", "the g of the step before"),
          ("q", "1 where g keeps its sign, −1 where it turns"),
        ])
    case .lion:
      return UpdateRule(
        assignments: sparse + [
          equals("c", mean("β₁", "m", "g")), step(λ ? .sign("c") + "λ" * "w" : .sign("c")),
          becomes("m", mean("β₂", "m", "g")),
        ], state: ["m"],
        symbols: [("m", "the running mean of g"), ("c", "the mean that decides the direction")])
    }
  }

  /// The numbers in the rule, by their symbols.
  var symbols: [(symbol: String, value: Double)] {
    let rule = updateRule
    return hyperparameters.compactMap { hyperparameter in
      guard let symbol = hyperparameter.symbol, let value = self[hyperparameter] else { return nil }
      let occurs =
        rule.assignments.contains { $0.formula.contains(symbol) }
        || rule.start.values.contains { $0.contains(symbol) }
      return occurs || hyperparameter == .learningRate ? (symbol, value) : nil
    }
  }

  /// Whether the rule has the hyper-parameter, and it is not 0.
  private func isOn(_ hyperparameter: Hyperparameter) -> Bool { self[hyperparameter] ?? 0 != 0 }
}

// MARK: - With numbers

/// The update of all parameters of a training, step by step, with the state of each.
struct UpdateHistory {
  let rule: UpdateRule
  private let constants: [String: Double]

  init(_ optimizer: Optimizer) {
    rule = optimizer.updateRule
    constants = Dictionary(uniqueKeysWithValues: optimizer.symbols.map { ($0.symbol, $0.value) })
  }

  /// The state of a parameter before the first step.
  func start(rate: Double) -> [Double] {
    rule.state.map { name in
      rule.start[name].map { $0.with(constants.merging(["η": rate]) { $1 }).value! } ?? 0
    }
  }

  /// The equations of an update, the last of them the one that gives w the value `after`.
  ///
  /// - Parameters:
  ///   - g: The gradient, clipped.
  ///   - state: As ``rule`` names it; that after the update then.
  func update(
    _ w: Double, to after: Double, by g: Double, step t: Int, rate: Double, state: inout [Double]
  ) -> [(name: String, relation: Walkthrough.Relation, numbers: Formula, value: Double)] {
    var numbers = constants
    numbers["η"] = rate
    numbers["t"] = Double(t)
    numbers["w"] = w
    numbers["g"] = g
    for (name, value) in zip(rule.state, state) { numbers[name] = value }
    let last = rule.assignments.lastIndex { $0.name == "w" }
    let equations = rule.assignments.enumerated().map { place, assignment in
      let formula = assignment.formula.with(numbers)
      let value = place == last ? after : formula.value!
      numbers[assignment.name] = value
      return (assignment.name, assignment.relation, formula, value)
    }
    state = rule.state.map { numbers[$0]! }
    return equations
  }
}
