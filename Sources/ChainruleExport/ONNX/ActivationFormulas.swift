import Chainrule

/// An operator of ONNX that computes an activation, with its attributes.
struct ActivationOperator {
  var name: String
  var attributes: [(name: String, value: Float)] = []
}

private let z: Formula = "z"
/// Klambauer et al. 2017
private let α = 1.6732632423543772848170429916717
private let λ = 1.0507009873554804934193349852946

extension Activation {
  enum Form {
    case `operator`(ActivationOperator)
    case formula(Formula)
  }

  /// Returns the form of this activation in a graph of opset 17 for numbers of type `scalar`.
  ///
  /// This is an operator if there is an exact one, otherwise a formula: the catalogue's, or one whose
  /// exponentials do not overflow. In float64 it is also a formula if the operator's attribute is a float32
  /// that rounds the constant (leakyReLU, selu, hardSigmoid), or if runtimes support the operator only for
  /// float32 (elu, softplus, softsign).
  func form(for scalar: ScalarType) -> Form {
    let single = scalar == .float32
    let exponential: Formula = .exp(.min(z, 0)) - 1
    return switch self {
    case .identity: .operator(.init(name: "Identity"))
    case .sigmoid: .operator(.init(name: "Sigmoid"))
    case .tanh: .operator(.init(name: "Tanh"))
    case .relu: .operator(.init(name: "Relu"))
    case .softmax: .operator(.init(name: "Softmax"))
    case .leakyReLU where single: .operator(.init(name: "LeakyRelu", attributes: [("alpha", 0.01)]))
    case .leakyReLU: .formula(.max(0.01 * z, z))
    case .elu where single: .operator(.init(name: "Elu", attributes: [("alpha", 1)]))
    case .elu: .formula(.max(0, z) + exponential)
    case .selu where single:
      .operator(.init(name: "Selu", attributes: [("alpha", Float(α)), ("gamma", Float(λ))]))
    case .selu: .formula(.number(λ) * (.max(0, z) + .number(α) * exponential))
    case .silu: .formula(z * (1 / (1 + .exp(-z))))
    case .softplus where single: .operator(.init(name: "Softplus"))
    case .softplus: .formula(stableSoftplus)
    case .softsign where single: .operator(.init(name: "Softsign"))
    case .mish where !single: .formula(z * .tanh(stableSoftplus))
    case .hardSigmoid where single:
      .operator(.init(name: "HardSigmoid", attributes: [("alpha", 1 / 6), ("beta", 0.5)]))
    case .gelu, .geluTanh, .softsign, .mish, .hardSigmoid, .hardTanh: .formula(function!)
    }
  }

  /// The known formulas of activations: the catalogue's, those above, and those of other exporters.
  static let formulas: [(formula: Formula, activation: Activation)] = {
    var formulas: [(Formula, Activation)] = []
    for activation in Activation.allCases where activation != .identity {
      if let function = activation.function { formulas.append((function, activation)) }
      for scalar in ScalarType.allCases {
        if case .formula(let formula) = activation.form(for: scalar) {
          formulas.append((formula, activation))
        }
      }
    }
    let factored: Formula = √(2 / .π) * z * (1 + 0.044715 * z.squared)
    return formulas + [
      (.cases(z > 0, z, else: 0), .relu),
      (.half * z * (1 + .tanh(factored)), .geluTanh),
      (.cases(z > 20, z, else: .log(1 + .exp(z))), .softplus),
      (.min(.max(z + 3, 0), 6) / 6, .hardSigmoid),
    ]
  }()
}

/// log(1 + eᶻ) = max(0, z) + log(1 + e^−|z|), in which no exponential overflows
private let stableSoftplus: Formula = .max(0, z) + .log(1 + .exp(-(.abs(z))))

extension Formula {
  /// The meaning of formulas with parameters; a parameter is any symbol but z.
  enum Idiom {
    /// z if z > 0, else `slope` · z
    case slope
    /// z if z > 0, else −`negative` · z, where `negative` has one number, or one per feature
    case negativeSlope
    /// γ (z − μ) / √(σ² + ε) + β over the features of a row
    case layerNorm
    /// log(1 + e^(`factor` · z)) / `factor`
    case softplus
  }

  /// The formulas with parameters of other exporters.
  static let idioms: [(formula: Formula, idiom: Idiom)] = {
    let (slope, negative, factor): (Formula, Formula, Formula) = ("slope", "negative", "factor")
    let scaled = z * factor
    var idioms: [(Formula, Idiom)] = [
      (.max(slope * z, z), .slope),
      (.cases(z > 0, z, else: slope * z), .slope),
      (.max(0, z) + .max(0, -z) * negative, .negativeSlope),
      (.cases(scaled > 20, z, else: .log(1 + .exp(scaled)) / factor), .softplus),
    ]
    let (γ, β): (Formula, Formula) = ("gamma", "beta")
    let mean = Formula.mean(z)
    let deviation = √(.mean((z - mean).squared) + "epsilon")
    let normal = (z - mean) / deviation
    idioms += [normal * γ + β, normal * γ, normal].map { ($0, .layerNorm) }
    // z s + (β − μ s), s = γ / √(σ² + ε)
    for s in [(1 / deviation) * γ, 1 / deviation] {
      let shift = -mean * s
      idioms += [β - mean * s, shift + β, shift].map { (z * s + $0, .layerNorm) }
    }
    return idioms
  }()
}

// MARK: - Nodes

extension Formula {
  /// Returns the operators that compute the formula from operands, the preferred one for numbers of type
  /// `scalar` first; none for a symbol, a number or cases. A product is grouped from its last factor: a (b
  /// c).
  func nodes(for scalar: ScalarType) -> [(type: String, operands: [Formula])] {
    switch self {
    case .number, .constant, .symbol, .cases: return []
    case .sum(let terms):
      let sum: (String, [Formula]) = ("Add", [terms[0], .sum(of: Array(terms.dropFirst()))])
      guard case .function(.erf, let arguments)? = onePlus, case .quotient(let x, let divisor) = arguments[0]
      else { return [sum] }
      return [sum, ("Erfc", [-x / divisor])]  // 1 + erf u = erfc −u
    case .difference(let left, let right):
      let difference = ("Sub", [left, right])
      if case .power(.e, let x) = left, right == 1 { return [difference, ("Expm1", [x])] }
      return [difference]
    case .product(let factors): return Self.products(factors)
    case .quotient(let left, let right):
      let quotient = ("Div", [left, right])
      if left != 1 {
        return [quotient, ("Mul", [left, right.value.map { .number(1 / $0) } ?? 1 / right])]
      }
      if case .power(.e, .negative(let x))? = right.onePlus {
        return [("Sigmoid", [x]), quotient, ("Reciprocal", [right])]
      }
      return [quotient, ("Reciprocal", [right])]
    case .negative(let x): return [("Neg", [x]), ("Mul", [x, -1])]
    case .power(.e, let x): return [("Exp", [x])]
    case .power(let x, 2): return [("Mul", [x, x]), ("Pow", [x, 2])]
    case .power(let x, 3): return [("Mul", [x, x.squared]), ("Pow", [x, 3])]
    case .power(let x, let exponent): return [("Pow", [x, exponent])]
    case .function(let function, let arguments):
      let node = (function.operator, arguments)
      if function == .log, case .power(.e, let x)? = arguments[0].onePlus {
        // Runtimes support Softplus only for float32.
        return scalar == .float32 ? [("Softplus", [x]), node] : [node, ("Softplus", [x])]
      }
      if function == .max, arguments[0] == 0 { return [("Relu", [arguments[1]]), node] }
      if function == .min, case .function(.max, let bounded) = arguments[0] {
        return [("Clip", bounded + [arguments[1]]), node]
      }
      return [node]
    }
  }

  /// Returns x for 1 + x.
  private var onePlus: Formula? {
    if case .sum(let terms) = self, terms.count == 2, terms[0] == 1 { terms[1] } else { nil }
  }

  /// Returns each way to divide factors into two groups, and, with a number, also the quotient; the first is
  /// a (b c).
  private static func products(_ factors: [Formula]) -> [(String, [Formula])] {
    func product(_ factors: [Formula]) -> Formula { factors.count == 1 ? factors[0] : .product(factors) }
    var nodes: [(String, [Formula])] = []
    // The bits of `set` are the factors after the first.
    for set in 0..<(1 << (factors.count - 1)) - 1 {
      let isLeft = { (index: Int) in index == 0 || set >> (index - 1) & 1 == 1 }
      let left = product(factors.indices.filter(isLeft).map { factors[$0] })
      let right = product(factors.indices.filter { !isLeft($0) }.map { factors[$0] })
      nodes.append(("Mul", [left, right]))
      if let number = left.value { nodes.append(("Div", [right, .number(1 / number)])) }
    }
    return nodes
  }
}

extension Formula.Function {
  /// The operators that runtimes support only for float32. For float64 the export adds casts around them.
  static let operatorsOfFloat32: Set<Formula.Function> = [
    .erf
  ]

  /// The ONNX operator of the function.
  var `operator`: String {
    switch self {
    case .tanh: "Tanh"
    case .cosh: "Cosh"
    case .log: "Log"
    case .erf: "Erf"
    case .sign: "Sign"
    case .max: "Max"
    case .min: "Min"
    case .squareRoot: "Sqrt"
    case .magnitude: "Abs"
    case .total: "ReduceSum"
    case .mean: "ReduceMean"
    }
  }
}
