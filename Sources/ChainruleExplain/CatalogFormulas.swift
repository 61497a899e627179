import Chainrule

// The formulas of the catalogue, as a textbook writes them. A new activation, loss or optimizer does not
// compile before it has its formula here, and the tests hold each against the value the core computes.

private let z: Formula = "z"
private let a: Formula = "a"
private let y: Formula = "y"
private let n: Formula = "n"

extension Activation {
  /// a = f(z); for softmax nil, since it takes a whole row.
  var formula: Formula? {
    switch self {
    case .identity: z
    case .sigmoid: 1 / (1 + .exp(-z))
    case .tanh: .tanh(z)
    case .relu: .max(0, z)
    case .leakyReLU: .cases(z > 0, z, else: 0.01 * z)
    case .elu: .cases(z > 0, z, else: .exp(z) - 1)
    case .selu: .cases(z > 0, seluλ * z, else: seluλ * seluα * (.exp(z) - 1))
    case .gelu: .half * z * (1 + .erf(z / √2))
    case .geluTanh: .half * z * (1 + .tanh(u))
    case .silu: z / (1 + .exp(-z))
    case .softplus: .log(1 + .exp(z))
    case .softsign: z / (1 + .abs(z))
    case .mish: z * .tanh(.log(1 + .exp(z)))
    case .hardSigmoid: .min(.max(z / 6 + .half, 0), 1)
    case .hardTanh: .min(.max(z, -1), 1)
    case .softmax: nil
    }
  }

  /// f′(z), from a where that is enough; for softmax nil, since its derivative is a matrix.
  var derivative: Formula? {
    switch self {
    case .identity: 1
    case .sigmoid: a * (1 - a)
    case .tanh: 1 - a.squared
    case .relu: .cases(z > 0, 1, else: 0)
    case .leakyReLU: .cases(z > 0, 1, else: 0.01)
    case .elu: .cases(z > 0, 1, else: a + 1)
    case .selu: .cases(z > 0, seluλ, else: a + seluλ * seluα)
    case .gelu: .half * (1 + .erf(z / √2)) + z * .exp(-(z.squared / 2)) / √(2 * .π)
    case .geluTanh:
      .half * (1 + .tanh(u))
        + .half * z * (1 - Formula.tanh(u).squared) * √(2 / .π) * (1 + 0.134145 * z.squared)
    case .silu: a + (1 - a) / (1 + .exp(-z))
    case .softplus: 1 - .exp(-a)
    case .softsign: (1 - .abs(a)).squared
    case .mish:
      .tanh(.log(1 + .exp(z))) + z * (1 - Formula.tanh(.log(1 + .exp(z))).squared) / (1 + .exp(-z))
    case .hardSigmoid: .cases(3 > .abs(z), 1 / 6, else: 0)
    case .hardTanh: .cases(1 > .abs(z), 1, else: 0)
    case .softmax: nil
    }
  }
}

/// The argument of the tanh in geluTanh: u = √(2/π)·(z + 0.044715 z³)
private let u: Formula = √(2 / .π) * (z + 0.044715 * .power(z, 3))

private let seluλ: Formula = 1.050_700_987_355_480_493_4
private let seluα: Formula = 1.673_263_242_354_377_284_8

extension Loss {
  /// l of one sample, from the sum over its outputs of `term`.
  func formula(sum: Formula) -> Formula {
    switch self {
    case .halfSquaredError: .half * sum
    case .meanSquaredError, .meanAbsoluteError, .huber, .logCosh, .poisson, .hinge: sum / n
    case .binaryCrossEntropy: -(sum / n)
    case .crossEntropy: -sum
    }
  }

  /// What one output adds to the sum.
  var term: Formula {
    let d = a - y
    return switch self {
    case .halfSquaredError, .meanSquaredError: d.squared
    case .meanAbsoluteError: .abs(d)
    case .huber: .cases(1 > .abs(d), .half * d.squared, else: .abs(d) - .half)
    case .logCosh: .log(.cosh(d))
    case .binaryCrossEntropy: y * .log(a) + (1 - y) * .log(1 - a)
    case .crossEntropy: y * .log(a)
    case .poisson: .cases(y > 0, a - y * .log(a), else: a)
    case .hinge: .max(0, 1 - y * a)
    }
  }

  /// ∂l/∂aⱼ; where the loss is fused with the output layer, ∂l/∂zⱼ.
  var gradient: Formula {
    let d = a - y
    return switch self {
    case .halfSquaredError: d
    case .meanSquaredError: 2 * d / n
    case .meanAbsoluteError: .sign(d) / n
    case .huber: .max(-1, .min(d, 1)) / n
    case .logCosh: .tanh(d) / n
    case .binaryCrossEntropy: d / n
    case .crossEntropy: a * "Σₖ yₖ" - y
    case .poisson: (1 - y / a) / n
    case .hinge: .cases(1 > y * a, -(y / n), else: 0)
    }
  }

  /// `gradient` where the targets of a row sum to 1, as those of classes do.
  var gradientOfDistribution: Formula { self == .crossEntropy ? a - y : gradient }

  /// Whether f′(z) is already in `gradient`.
  var isFused: Bool {
    switch self {
    case .binaryCrossEntropy, .crossEntropy: true
    case .halfSquaredError, .meanSquaredError, .meanAbsoluteError, .huber, .logCosh, .poisson, .hinge: false
    }
  }
}

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
