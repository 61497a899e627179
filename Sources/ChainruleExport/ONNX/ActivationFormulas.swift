import Chainrule

/// A function of z in operators of ONNX, element by element.
indirect enum Formula: Hashable {
  case z
  case number(Double)
  /// Any constant, by a name of the formula's own
  case parameter(String)
  case apply(String, [Formula])

  static func + (a: Formula, b: Formula) -> Formula { .apply("Add", [a, b]) }
  static func - (a: Formula, b: Formula) -> Formula { .apply("Sub", [a, b]) }
  static func * (a: Formula, b: Formula) -> Formula { .apply("Mul", [a, b]) }
  static func / (a: Formula, b: Formula) -> Formula { .apply("Div", [a, b]) }
}

extension Formula {
  static func tanh(_ x: Formula) -> Formula { .apply("Tanh", [x]) }
  static func sigmoid(_ x: Formula) -> Formula { .apply("Sigmoid", [x]) }
  static func relu(_ x: Formula) -> Formula { .apply("Relu", [x]) }
  static func softplus(_ x: Formula) -> Formula { .apply("Softplus", [x]) }
  static func exp(_ x: Formula) -> Formula { .apply("Exp", [x]) }
  static func log(_ x: Formula) -> Formula { .apply("Log", [x]) }
  static func abs(_ x: Formula) -> Formula { .apply("Abs", [x]) }
  static func erf(_ x: Formula) -> Formula { .apply("Erf", [x]) }
  static func clip(_ x: Formula, _ low: Formula, _ high: Formula) -> Formula {
    .apply("Clip", [x, low, high])
  }

  /// min(0, x)
  static func negativePart(_ x: Formula) -> Formula { .apply("Min", [x, 0.0]) }
  /// max(0, x) + log(1 + e^-|x|), of which no exponential overflows
  static func stableSoftplus(_ x: Formula) -> Formula {
    relu(x) + log(1.0 + exp(.apply("Neg", [abs(x)])))
  }
}

extension Formula: ExpressibleByFloatLiteral {
  init(floatLiteral value: Double) { self = .number(value) }
}

/// An operator of ONNX that is an activation by itself, with its attributes.
struct ActivationOperator {
  var name: String
  var attributes: [(name: String, value: Float)] = []
}
private let z = Formula.z
/// Klambauer et al. 2017
private let α = 1.6732632423543772848170429916717
private let λ = 1.0507009873554804934193349852946
private let root2 = 1.4142135623730950488
private let rootOf2OverPi = 0.79788456080286535588
private let c = 0.044715

extension Activation {
  /// How a graph of opset 17 has this activation for numbers of `scalar`.
  ///
  /// An operator where there is an exact one, otherwise a formula. In float64 there is a formula too where the operator's
  /// attribute is a float32 that rounds the constant (leakyReLU, selu, hardSigmoid), or where runtimes have the operator
  /// for float32 alone (elu, softplus, softsign).
  func form(for scalar: ScalarType) -> Form {
    let single = scalar == .float32
    return switch self {
    case .identity: .operator(.init(name: "Identity"))
    case .sigmoid: .operator(.init(name: "Sigmoid"))
    case .tanh: .operator(.init(name: "Tanh"))
    case .relu: .operator(.init(name: "Relu"))
    case .softmax: .operator(.init(name: "Softmax"))
    case .leakyReLU where single: .operator(.init(name: "LeakyRelu", attributes: [("alpha", 0.01)]))
    case .leakyReLU: .formula(.apply("Max", [0.01 * z, z]))
    case .elu where single: .operator(.init(name: "Elu", attributes: [("alpha", 1)]))
    case .elu: .formula(.relu(z) + (.exp(.negativePart(z)) - 1.0))
    case .selu where single:
      .operator(.init(name: "Selu", attributes: [("alpha", Float(α)), ("gamma", Float(λ))]))
    case .selu: .formula(.number(λ) * (.relu(z) + .number(α) * (.exp(.negativePart(z)) - 1.0)))
    case .gelu: .formula(0.5 * (z * (1.0 + .erf(z / .number(root2)))))
    case .geluTanh:
      .formula(0.5 * (z * (1.0 + .tanh(.number(rootOf2OverPi) * (z + .number(c) * (z * (z * z)))))))
    case .silu: .formula(z * .sigmoid(z))
    case .softplus where single: .operator(.init(name: "Softplus"))
    case .softplus: .formula(.stableSoftplus(z))
    case .softsign where single: .operator(.init(name: "Softsign"))
    case .softsign: .formula(z / (1.0 + .abs(z)))
    case .mish where single: .formula(z * .tanh(.softplus(z)))
    case .mish: .formula(z * .tanh(.stableSoftplus(z)))
    case .hardSigmoid where single:
      .operator(.init(name: "HardSigmoid", attributes: [("alpha", 1 / 6), ("beta", 0.5)]))
    case .hardSigmoid: .formula(.clip(z / 6.0 + 0.5, 0.0, 1.0))
    case .hardTanh: .formula(.clip(z, -1.0, 1.0))
    }
  }

  enum Form {
    case `operator`(ActivationOperator)
    case formula(Formula)
  }

  /// The formulas that are known for activations: those above, and those that other exporters write.
  static let formulas: [(formula: Formula, activation: Activation)] = {
    var formulas: [(Formula, Activation)] = []
    for activation in Activation.allCases {
      for scalar in ScalarType.allCases {
        if case .formula(let formula) = activation.form(for: scalar) {
          formulas.append((formula, activation))
        }
      }
    }
    // ½ z (1 + t), in whichever order it is multiplied
    func halves(_ t: Formula) -> [Formula] {
      let sum = 1.0 + t
      return [0.5 * (z * sum), z * (0.5 * sum), (0.5 * z) * sum, (z * sum) / 2.0, z * (sum / 2.0)]
    }
    let cubes = [z * (z * z), .apply("Pow", [z, 3.0])]
    for argument in [z / .number(root2), z * .number(1 / root2)] {
      formulas += halves(.erf(argument)).map { ($0, .gelu) }
    }
    for cube in cubes {
      formulas += halves(.tanh(.number(rootOf2OverPi) * (z + .number(c) * cube))).map { ($0, .geluTanh) }
    }
    formulas += halves(.tanh(.number(rootOf2OverPi) * (z * (1.0 + .number(c) * (z * z))))).map {
      ($0, .geluTanh)
    }
    for negative in [.apply("Neg", [z]), z * .number(-1)] {
      formulas.append((1.0 / (1.0 + .exp(negative)), .sigmoid))
      formulas.append((.apply("Reciprocal", [1.0 + .exp(negative)]), .sigmoid))
    }
    for greater in ["Greater", "GreaterOrEqual"] {
      formulas.append((.apply("Where", [.apply(greater, [z, 0.0]), z, 0.0]), .relu))
    }
    for less in ["Less", "LessOrEqual"] {
      formulas.append((.apply("Where", [.apply(less, [z, 0.0]), 0.0, z]), .relu))
    }
    // Keras writes these two with operators that are not ONNX's.
    let complement = Formula.apply("Erfc", [.apply("Neg", [z]) * .number(1 / root2)])
    formulas.append(((0.5 * z) * complement, .gelu))
    formulas.append((.apply("Max", [z, 0.0]) + .apply("Expm1", [.apply("Min", [z, 0.0])]), .elu))
    formulas.append((.log(1.0 + .exp(z)), .softplus))
    formulas.append((.apply("Where", [.apply("Greater", [z, 20.0]), z, .softplus(z)]), .softplus))
    formulas.append((z * .tanh(.log(1.0 + .exp(z))), .mish))
    formulas.append((.clip(z * .number(1 / 6) + 0.5, 0.0, 1.0), .hardSigmoid))
    formulas.append((.clip(z + 3.0, 0.0, 6.0) / 6.0, .hardSigmoid))
    formulas.append((.clip(z + 3.0, 0.0, 6.0) * .number(1 / 6), .hardSigmoid))
    return formulas
  }()
}

extension Formula {
  /// What formulas with parameters do.
  enum Idiom {
    /// z where it is above 0, else `slope` · z
    case slope
    /// z where it is above 0, else −`negative` · z, `negative` of one number or one a feature
    case negativeSlope
    /// γ (z − μ) / √(σ² + ε) + β over the features of a row
    case layerNorm
    /// log(1 + e^(`factor` · z)) / `factor`
    case softplus
  }

  /// The formulas with parameters that exporters write.
  static let idioms: [(formula: Formula, idiom: Idiom)] = {
    let slope = Formula.parameter("slope") * z
    var idioms: [(Formula, Idiom)] = [(.apply("Max", [slope, z]), .slope)]
    for greater in ["Greater", "GreaterOrEqual"] {
      idioms.append((.apply("Where", [.apply(greater, [z, 0.0]), z, slope]), .slope))
    }
    for less in ["Less", "LessOrEqual"] {
      idioms.append((.apply("Where", [.apply(less, [z, 0.0]), slope, z]), .slope))
    }
    idioms.append((.relu(z) + .relu(.apply("Neg", [z])) * .parameter("negative"), .negativeSlope))
    let scaled = z * .parameter("factor")
    idioms.append(
      (
        .apply(
          "Where", [.apply("Greater", [scaled, 20.0]), z, .softplus(scaled) / .parameter("factor")]),
        .softplus
      ))

    func mean(_ x: Formula) -> Formula { .apply("ReduceMean", [x]) }
    let (γ, β) = (Formula.parameter("gamma"), Formula.parameter("beta"))
    let centred = z - mean(z)
    for square in [.apply("Pow", [centred, 2.0]), centred * centred] {
      let deviation = Formula.apply("Sqrt", [mean(square) + .parameter("epsilon")])
      let inverse = Formula.apply("Reciprocal", [deviation])
      for normal in [centred / deviation, centred * inverse] {
        idioms += [normal * γ + β, normal * γ, normal].map { ($0, .layerNorm) }
      }
      // z s + (β − μ s), s = γ / √(σ² + ε)
      for factor in [inverse * γ, inverse] {
        let shift = Formula.apply("Neg", [mean(z)]) * factor
        idioms += [β - mean(z) * factor, shift + β, shift].map { (z * factor + $0, .layerNorm) }
      }
    }
    return idioms
  }()
}
