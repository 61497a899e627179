// The formulas of the catalogue's activations and losses in textbook form. A new one does not compile without
// its formula here, and tests compare each with the value that the core computes.

private let z: Formula = "z"
private let a: Formula = "a"
private let y: Formula = "y"
private let n: Formula = "n"

extension Activation {
  /// a = f(z); `nil` for softmax, which depends on a whole row.
  package var function: Formula? {
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

  /// f′(z), expressed by a if possible; `nil` for softmax, whose derivative is a matrix.
  package var derivative: Formula? {
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
  /// l of one sample, where `sum` is the sum of `term` over its outputs.
  package func formula(sum: Formula) -> Formula {
    switch self {
    case .halfSquaredError: .half * sum
    case .meanSquaredError, .meanAbsoluteError, .huber, .logCosh, .poisson, .hinge: sum / n
    case .binaryCrossEntropy: -(sum / n)
    case .crossEntropy: -sum
    }
  }

  /// The summand of one output.
  package var term: Formula {
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

  /// ∂l/∂aⱼ; if the loss is fused with the output layer, ∂l/∂zⱼ.
  package var gradient: Formula {
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

  /// `gradient` for targets that sum to 1 in each row, as those of classes do.
  package var gradientOfDistribution: Formula { self == .crossEntropy ? a - y : gradient }

  /// Whether `gradient` already includes f′(z).
  package var isFused: Bool {
    switch self {
    case .binaryCrossEntropy, .crossEntropy: true
    case .halfSquaredError, .meanSquaredError, .meanAbsoluteError, .huber, .logCosh, .poisson, .hinge: false
    }
  }
}
