import RealModule

/// Activation functions: a = f(z), and the derivative f′(z).
///
/// Every f and f′ is computed from z alone, by a formula that stays finite if eᶻ overflows. All but softmax
/// apply to one number at a time.
public enum Activation: String, CaseIterable, Sendable {
  /// z
  case identity
  /// σ(z) = 1 / (1 + e⁻ᶻ)
  case sigmoid
  /// tanh z
  case tanh
  /// max(0, z); f′(0) = 0
  case relu
  /// z for z > 0, else z/100
  case leakyReLU
  /// z for z > 0, else eᶻ − 1 (Clevert, Unterthiner, Hochreiter 2015, with α = 1)
  case elu
  /// λ · (z for z > 0, else α (eᶻ − 1)) (Klambauer, Unterthiner, Mayr, Hochreiter 2017)
  case selu
  /// z Φ(z), Φ the standard normal distribution (Hendrycks, Gimpel 2016)
  case gelu
  /// ½ z (1 + tanh(√(2/π) (z + 0.044715 z³))), the approximation of gelu in the same paper
  case geluTanh
  /// z σ(z)
  case silu
  /// log(1 + eᶻ)
  case softplus
  /// z / (1 + |z|)
  case softsign
  /// z tanh(softplus(z)) (Misra 2019)
  case mish
  /// z/6 + ½ clamped to 0…1; f′(±3) = 0
  case hardSigmoid
  /// z clamped to −1…1; f′(±1) = 0
  case hardTanh
  /// aⱼ = e^zⱼ / Σₖ e^zₖ, over a whole row
  case softmax
}

extension Activation {
  /// Returns a = f(z) of one row; z and a are [units].
  public func values<Scalar: Real>(_ z: [Scalar]) -> [Scalar] {
    self == .softmax ? softmaxValues(z) : z.map(value)
  }

  /// Returns ∂L/∂z of one row from ∂L/∂a: Jᵀ · ∂L/∂a, where J[k][j] = ∂aₖ/∂zⱼ.
  ///
  /// J is diagonal, f′(zⱼ), except for softmax.  z, ∂L/∂a and the result are [units].
  public func backward<Scalar: Real>(_ dLda: [Scalar], z: [Scalar]) -> [Scalar] {
    guard self == .softmax else { return zip(dLda, z).map { $0 * derivative($1) } }
    let J = softmaxJacobian(z)
    return z.indices.map { j in sum(z.indices.map { k in dLda[k] * J[k][j] }) }
  }

  /// Returns f(z) of one number.  The softmax of a single number is 1.
  public func value<Scalar: Real>(_ z: Scalar) -> Scalar {
    switch self {
    case .identity: z
    case .sigmoid: .σ(z)
    case .tanh: .tanh(z)
    case .relu: z < 0 ? 0 : z
    case .leakyReLU: z > 0 ? z : z / 100
    case .elu: z > 0 ? z : .expMinusOne(z)
    case .selu: .seluλ * (z > 0 ? z : .seluα * .expMinusOne(z))
    case .gelu: z * .Φ(z)
    case .geluTanh: z * (1 + .tanh(.u(z))) / 2
    case .silu: z * .σ(z)
    case .softplus: .softplus(z)
    case .softsign: z / (1 + abs(z))
    case .mish: z * .tanh(.softplus(z))
    case .hardSigmoid: min(max(z / 6 + 1 / 2, 0), 1)
    case .hardTanh: min(max(z, -1), 1)
    case .softmax: 1
    }
  }

  /// Returns f′(z) of one number.  The softmax of a single number is constant.
  public func derivative<Scalar: Real>(_ z: Scalar) -> Scalar {
    switch self {
    case .identity: 1
    case .sigmoid: .σ(z) * .σ(-z)  // 1 − σ(z) = σ(−z)
    case .tanh: .sech²(z)
    case .relu: z > 0 ? 1 : 0
    case .leakyReLU: z > 0 ? 1 : 1 / 100
    case .elu: z > 0 ? 1 : .exp(z)
    case .selu: .seluλ * (z > 0 ? 1 : .seluα * .exp(z))
    case .gelu: .Φ(z) + z * .φ(z)
    case .geluTanh: (1 + .tanh(.u(z)) + z * .sech²(.u(z)) * .uʹ(z)) / 2
    case .silu: .σ(z) * (1 + z * .σ(-z))
    case .softplus: .σ(z)
    case .softsign: 1 / ((1 + abs(z)) * (1 + abs(z)))
    case .mish: .tanh(.softplus(z)) + z * .sech²(.softplus(z)) * .σ(z)
    case .hardSigmoid: abs(z) < 3 ? 1 / 6 : 0
    case .hardTanh: abs(z) < 1 ? 1 : 0
    case .softmax: 0
    }
  }
}

// MARK: - Elementary functions

extension Real {
  /// σ(z) = 1 / (1 + e⁻ᶻ); if e⁻ᶻ overflows, σ is 0.
  static func σ(_ z: Self) -> Self { 1 / (1 + .exp(-z)) }

  /// log(1 + eᶻ) = max(z, 0) + log(1 + e^−|z|), which cannot overflow.
  static func softplus(_ z: Self) -> Self { max(z, 0) + .log(onePlus: .exp(-abs(z))) }

  /// sech² z = 1 / cosh² z = 1 − tanh² z; if cosh overflows, it is 0.
  static func sech²(_ z: Self) -> Self { 1 / (.cosh(z) * .cosh(z)) }

  /// Φ(z) = ½ (1 + erf(z/√2)) = ½ erfc(−z/√2), without cancellation in the left tail.
  static func Φ(_ z: Self) -> Self { .erfc(-z / .sqrt(2)) / 2 }

  /// φ(z) = Φ′(z) = e^(−z²/2) / √(2π)
  static func φ(_ z: Self) -> Self { .exp(-z * z / 2) / .sqrt(2 * .pi) }

  /// The argument of the tanh in geluTanh: u(z) = √(2/π) (z + 0.044715 z³)
  static func u(_ z: Self) -> Self { .sqrt(2 / .pi) * (z + 44715 / 1_000_000 * z * z * z) }

  /// u′(z) = √(2/π) (1 + 3 · 0.044715 z²)
  static func uʹ(_ z: Self) -> Self { .sqrt(2 / .pi) * (1 + 3 * 44715 / 1_000_000 * z * z) }

  /// λ of selu; λ and α keep the mean 0 and the variance 1 of the values in a layer.
  static var seluλ: Self { 1_050_700_987_355_480_493 / 1_000_000_000_000_000_000 }

  /// α of selu
  static var seluα: Self { 1_673_263_242_354_377_284 / 1_000_000_000_000_000_000 }
}

/// aⱼ = e^(zⱼ − m) / Σₖ e^(zₖ − m) with m = max z: independent of m, and finite for this m.
func softmaxValues<Scalar: Real>(_ z: [Scalar]) -> [Scalar] {
  let m = z.max()!
  let e = z.map { Scalar.exp($0 - m) }
  let total = sum(e)
  return e.map { $0 / total }
}

/// J[k][j] = ∂aₖ/∂zⱼ = aₖ (1[k = j] − aⱼ), [units][units]
func softmaxJacobian<Scalar: Real>(_ z: [Scalar]) -> [[Scalar]] {
  let a = softmaxValues(z)
  return a.indices.map { k in a.indices.map { j in a[k] * ((k == j ? 1 : 0) - a[j]) } }
}

/// log Σₖ e^zₖ = m + log Σₖ e^(zₖ − m) with m = max z
func logSumExp<Scalar: Real>(_ z: [Scalar]) -> Scalar {
  let m = z.max()!
  return m + .log(sum(z.map { .exp($0 - m) }))
}

/// Σ x
func sum<Scalar: Real>(_ x: [Scalar]) -> Scalar {
  x.reduce(0, +)
}
