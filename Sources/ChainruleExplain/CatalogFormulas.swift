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
    /// "g + λ·w + λ₁·sign(w)"
    func regularised(_ λ: Double, _ λ1: Double) -> String {
      "g" + (λ == 0 ? "" : " + λ·w") + (λ1 == 0 ? "" : " + λ₁·sign(w)")
    }
    func decayed(_ λ: Double, _ λ1: Double) -> [String] {
      λ == 0 && λ1 == 0 ? [] : ["g ← \(regularised(λ, λ1))"]
    }
    switch self {
    case .sgd(_, let μ, let nesterov, let λ, let λ1):
      if μ == 0 { return ["w ← w − η·\(λ == 0 && λ1 == 0 ? "g" : "(\(regularised(λ, λ1)))")"] }
      return decayed(λ, λ1) + ["v ← μ·v + g", nesterov ? "w ← w − η·(g + μ·v)" : "w ← w − η·v"]
    case .adagrad(_, _, let λ, let λ1):
      return decayed(λ, λ1) + ["s ← s + g²", "w ← w − η·g/(√s + ε)"]
    case .rmsprop(_, _, _, let μ, let centered, let λ, let λ1):
      let step = centered ? "g/(√(s − m²) + ε)" : "g/(√s + ε)"
      return decayed(λ, λ1) + ["s ← α·s + (1 − α)·g²"] + (centered ? ["m ← α·m + (1 − α)·g"] : [])
        + (μ == 0 ? ["w ← w − η·\(step)"] : ["v ← μ·v + \(step)", "w ← w − η·v"])
    case .adam(_, _, _, _, let amsgrad, let λ, let λ1):
      return decayed(λ, λ1) + adamRule(amsgrad: amsgrad)
    case .adamw(_, _, _, _, let amsgrad, let λ, let λ1):
      return decayed(0, λ1) + (λ == 0 ? [] : ["w ← w − η·λ·w"]) + adamRule(amsgrad: amsgrad)
    case .adadelta(_, _, _, let λ, let λ1):
      return decayed(λ, λ1) + [
        "s ← ρ·s + (1 − ρ)·g²", "d = g·√((u + ε)/(s + ε))", "u ← ρ·u + (1 − ρ)·d²", "w ← w − η·d",
      ]
    case .adamax(_, _, _, _, let λ, let λ1):
      return decayed(λ, λ1) + [
        "m ← β₁·m + (1 − β₁)·g", "s ← max(β₂·s, |g| + ε)", "w ← w − η·m̂/s",
        "with m̂ = m/(1 − β₁ᵗ) in step t",
      ]
    case .nadam(_, _, _, _, _, let λ, let λ1):
      return decayed(λ, λ1) + moments + [
        "w ← w − η·(m̂ + ĝ)/(√v̂ + ε)",
        "with m̂ = μₜ₊₁·m/(1 − μ₁⋯μₜ₊₁), ĝ = (1 − μₜ)·g/(1 − μ₁⋯μₜ) and v̂ = v/(1 − β₂ᵗ) in step t",
        "and μₜ = β₁·(1 − ½·0.96^(t·ψ))",
      ]
    case .rprop(_, _, _, _, _, let λ, let λ1):
      return decayed(λ, λ1) + [
        "s ← η⁺·s where g keeps its sign", "s ← η⁻·s and g ← 0 where it turns",
        "s ← min(max(s, s₋), s₊)", "w ← w − s·sign(g)", "with s = η before step 1",
      ]
    case .lion(_, _, _, let λ, let λ1):
      return decayed(0, λ1) + [
        "w ← w − η·\(λ == 0 ? "sign(c)" : "(sign(c) + λ·w)")", "m ← β₂·m + (1 − β₂)·g",
        "with c = β₁·m + (1 − β₁)·g",
      ]
    }
  }

  private var moments: [String] { ["m ← β₁·m + (1 − β₁)·g", "v ← β₂·v + (1 − β₂)·g²"] }

  private func adamRule(amsgrad: Bool) -> [String] {
    moments + (amsgrad ? ["v′ ← max(v′, v)"] : []) + [
      "w ← w − η·m̂/(√v̂ + ε)",
      "with m̂ = m/(1 − β₁ᵗ) and v̂ = \(amsgrad ? "v′" : "v")/(1 − β₂ᵗ) in step t",
    ]
  }

  /// The numbers in `rule`, by their symbols.
  var numbers: [(symbol: String, value: Double)] {
    let numbers: [(String, Double)] =
      switch self {
      case .sgd(let η, let μ, _, let λ, let λ1): [("η", η), ("μ", μ), ("λ", λ), ("λ₁", λ1)]
      case .adagrad(let η, let ε, let λ, let λ1): [("η", η), ("ε", ε), ("λ", λ), ("λ₁", λ1)]
      case .rmsprop(let η, let α, let ε, let μ, _, let λ, let λ1):
        [("η", η), ("α", α), ("ε", ε), ("μ", μ), ("λ", λ), ("λ₁", λ1)]
      case .adam(let η, let β1, let β2, let ε, _, let λ, let λ1),
        .adamw(let η, let β1, let β2, let ε, _, let λ, let λ1),
        .adamax(let η, let β1, let β2, let ε, let λ, let λ1):
        [("η", η), ("β₁", β1), ("β₂", β2), ("ε", ε), ("λ", λ), ("λ₁", λ1)]
      case .adadelta(let η, let ρ, let ε, let λ, let λ1):
        [("η", η), ("ρ", ρ), ("ε", ε), ("λ", λ), ("λ₁", λ1)]
      case .nadam(let η, let β1, let β2, let ε, let ψ, let λ, let λ1):
        [("η", η), ("β₁", β1), ("β₂", β2), ("ε", ε), ("ψ", ψ), ("λ", λ), ("λ₁", λ1)]
      case .rprop(let η, let ηMinus, let ηPlus, let least, let most, let λ, let λ1):
        [("η", η), ("η⁻", ηMinus), ("η⁺", ηPlus), ("s₋", least), ("s₊", most), ("λ", λ), ("λ₁", λ1)]
      case .lion(let η, let β1, let β2, let λ, let λ1):
        [("η", η), ("β₁", β1), ("β₂", β2), ("λ", λ), ("λ₁", λ1)]
      }
    let text = rule.joined(separator: " ")
    return numbers.filter { symbol, value in
      // λ begins λ₁ too.
      symbol == "η" || (symbol == "λ" ? text.replacing("λ₁", with: "") : text).contains(symbol)
    }
  }

  /// The update of w by its gradient g as one formula, where the rule remembers nothing; else nil.
  var update: Formula? {
    guard case .sgd(let η, 0, _, let λ, let λ1) = self else { return nil }
    let terms: [Formula] =
      ["g"] + (λ == 0 ? [] : [.number(λ) * "w"]) + (λ1 == 0 ? [] : [.number(λ1) * .sign("w")])
    return "w" - .number(η) * .sum(of: terms)
  }
}
