import Chainrule

// The optimizers' rules, as a textbook writes them. A new one does not compile before it has its rule here.

extension Optimizer {
  /// The update of a parameter w by its gradient g, step by step, without what is switched off.
  var rule: [String] {
    let (λ, λ1) = (isOn(.weightDecay), isOn(.l1))
    /// "g + λ·w + λ₁·sign(w)"
    let regularised = "g" + (λ ? " + λ·w" : "") + (λ1 ? " + λ₁·sign(w)" : "")
    let decayed = λ || λ1 ? ["g ← \(regularised)"] : []
    let sparse = λ1 ? ["g ← g + λ₁·sign(w)"] : []
    let moments = ["m ← β₁·m + (1 − β₁)·g", "v ← β₂·v + (1 − β₂)·g²"]
    let adam =
      moments + (isOn(.amsgrad) ? ["v′ ← max(v′, v)"] : []) + [
        "w ← w − η·m̂/(√v̂ + ε)",
        "with m̂ = m/(1 − β₁ᵗ) and v̂ = \(isOn(.amsgrad) ? "v′" : "v")/(1 − β₂ᵗ) in step t",
      ]
    switch kind {
    case .sgd:
      guard isOn(.momentum) else {
        return ["w ← w − η·\(λ || λ1 ? "(\(regularised))" : "g")"]
      }
      return decayed + ["v ← μ·v + g", isOn(.nesterov) ? "w ← w − η·(g + μ·v)" : "w ← w − η·v"]
    case .adagrad:
      return decayed + ["s ← s + g²", "w ← w − η·g/(√s + ε)"]
    case .rmsprop:
      let step = isOn(.centered) ? "g/(√(s − m²) + ε)" : "g/(√s + ε)"
      return decayed + ["s ← α·s + (1 − α)·g²"] + (isOn(.centered) ? ["m ← α·m + (1 − α)·g"] : [])
        + (isOn(.momentum) ? ["v ← μ·v + \(step)", "w ← w − η·v"] : ["w ← w − η·\(step)"])
    case .adam:
      return decayed + adam
    case .adamw:
      return sparse + (λ ? ["w ← w − η·λ·w"] : []) + adam
    case .adadelta:
      return decayed + [
        "s ← ρ·s + (1 − ρ)·g²", "d = g·√((u + ε)/(s + ε))", "u ← ρ·u + (1 − ρ)·d²", "w ← w − η·d",
      ]
    case .adamax:
      return decayed + [
        "m ← β₁·m + (1 − β₁)·g", "s ← max(β₂·s, |g| + ε)", "w ← w − η·m̂/s",
        "with m̂ = m/(1 − β₁ᵗ) in step t",
      ]
    case .nadam:
      return decayed + moments + [
        "w ← w − η·(m̂ + ĝ)/(√v̂ + ε)",
        "with m̂ = μₜ₊₁·m/(1 − μ₁⋯μₜ₊₁), ĝ = (1 − μₜ)·g/(1 − μ₁⋯μₜ) and v̂ = v/(1 − β₂ᵗ) in step t",
        "and μₜ = β₁·(1 − ½·0.96^(t·ψ))",
      ]
    case .rprop:
      return decayed + [
        "s ← η⁺·s where g keeps its sign", "s ← η⁻·s and g ← 0 where it turns",
        "s ← min(max(s, s₋), s₊)", "w ← w − s·sign(g)", "with s = η before step 1",
      ]
    case .lion:
      return sparse + [
        "w ← w − η·\(λ ? "(sign(c) + λ·w)" : "sign(c)")", "m ← β₂·m + (1 − β₂)·g",
        "with c = β₁·m + (1 − β₁)·g",
      ]
    }
  }

  /// The numbers in `rule`, by their symbols.
  var symbols: [(symbol: String, value: Double)] {
    let text = rule.joined(separator: " ")
    return hyperparameters.compactMap { hyperparameter in
      guard let symbol = hyperparameter.symbol, let value = self[hyperparameter] else { return nil }
      // λ₁ contains λ.
      let occurs = (symbol == "λ" ? text.replacing("λ₁", with: "") : text).contains(symbol)
      return occurs || hyperparameter == .learningRate ? (symbol, value) : nil
    }
  }

  /// The update of w by its gradient g as one formula; nil for a rule that keeps state.
  var update: Formula? {
    guard kind == .sgd, !isOn(.momentum) else { return nil }
    let (λ, λ1) = (weightDecay, self[.l1]!)
    let terms: [Formula] =
      ["g"] + (λ == 0 ? [] : [.number(λ) * "w"]) + (λ1 == 0 ? [] : [.number(λ1) * .sign("w")])
    return "w" - .number(learningRate) * .sum(of: terms)
  }

  /// Whether the rule has the hyper-parameter, and it is not 0.
  private func isOn(_ hyperparameter: Hyperparameter) -> Bool { self[hyperparameter] ?? 0 != 0 }
}
