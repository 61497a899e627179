import RealModule

/// Losses: L is the mean over a batch of l(a, y), the loss of one sample.
///
/// n is the number of outputs, d = a − y.  At a kink of l the slope is 0.
public enum Loss: String, CaseIterable, Sendable {
  /// ½ Σ d²
  case halfSquaredError
  /// (1/n) Σ d²
  case meanSquaredError
  /// (1/n) Σ |d|
  case meanAbsoluteError
  /// (1/n) Σ { ½ d² if |d| < 1, else |d| − ½ } (Huber 1964)
  case huber
  /// (1/n) Σ log cosh d
  case logCosh
  /// −(1/n) Σ y log a + (1 − y) log(1 − a), with a = σ(z)
  case binaryCrossEntropy
  /// −Σ y log a, with a = softmax(z)
  case crossEntropy
  /// (1/n) Σ a − y log a, which is a for y = 0; a > 0
  case poisson
  /// (1/n) Σ max(0, 1 − y a), with y = ±1, or with class labels 0 and 1, where 0 means −1
  case hinge
}

extension Loss {
  /// The output activation that this loss requires, or `nil` for any.
  ///
  /// Both cross-entropies are computed from z, because log a is not finite if a rounds to 0 or 1.
  public var requiredOutput: Activation? {
    switch self {
    case .binaryCrossEntropy: .sigmoid
    case .crossEntropy: .softmax
    default: nil
    }
  }

  /// Returns the smoothed targets y of one sample, [n], with smoothing s (Szegedy et al. 2016): for classes y
  /// ← (1 − s) y + s/n, for labels y ← (1 − s) y + s/2.
  public func smoothed<Scalar: Real>(_ y: [Scalar], by s: Scalar) -> [Scalar] {
    switch self {
    case .crossEntropy: y.map { (1 - s) * $0 + s / Scalar(y.count) }
    case .binaryCrossEntropy: y.map { (1 - s) * $0 + s / 2 }
    default: preconditionFailure("the targets of \(self) are no probabilities")
    }
  }

  /// Returns l of one sample; z, a and y are [n].
  public func value<Scalar: Real>(z: [Scalar], a: [Scalar], y: [Scalar]) -> Scalar {
    let n = Scalar(y.count)
    let d = zip(a, y).map { $0 - $1 }
    return switch self {
    case .halfSquaredError: sum(d.map { $0 * $0 }) / 2
    case .meanSquaredError: sum(d.map { $0 * $0 }) / n
    case .meanAbsoluteError: sum(d.map { abs($0) }) / n
    case .huber: sum(d.map { abs($0) < 1 ? $0 * $0 / 2 : abs($0) - 1 / 2 }) / n
    case .logCosh: sum(d.map { .logCosh($0) }) / n
    case .binaryCrossEntropy:
      // −log σ(z) = softplus(−z) and −log(1 − σ(z)) = softplus(z)
      sum(zip(z, y).map { z, y in y * .softplus(-z) + (1 - y) * .softplus(z) }) / n
    case .crossEntropy:
      // −log softmax(z)ⱼ = log Σₖ e^zₖ − zⱼ
      sum(zip(z, y).map { zⱼ, yⱼ in yⱼ * (logSumExp(z) - zⱼ) })
    case .poisson: sum(zip(a, y).map { a, y in y == 0 ? a : a - y * .log(a) }) / n
    case .hinge: sum(zip(a, y).map { a, y in max(0, 1 - side(y) * a) }) / n
    }
  }

  /// Returns δ = ∂l/∂z of one sample with outputs a = output(z); all are [n].
  public func delta<Scalar: Real>(
    z: [Scalar], a: [Scalar], y: [Scalar], output: Activation
  ) -> [Scalar] {
    precondition(
      requiredOutput == nil || requiredOutput == output, "\(self) needs \(requiredOutput!) outputs")
    let n = Scalar(y.count)
    return switch self {
    case .binaryCrossEntropy: zip(a, y).map { a, y in (a - y) / n }
    case .crossEntropy: zip(a, y).map { aⱼ, yⱼ in sum(y) * aⱼ - yⱼ }  // Σ y = 1 for a one-hot y
    default: output.backward(gradient(a: a, y: y), z: z)
    }
  }

  /// Returns ∂l/∂a of one sample, [n].
  private func gradient<Scalar: Real>(a: [Scalar], y: [Scalar]) -> [Scalar] {
    let n = Scalar(y.count)
    return zip(a, y).map { a, y in
      let d = a - y
      return switch self {
      case .halfSquaredError: d
      case .meanSquaredError: 2 * d / n
      case .meanAbsoluteError: .sign(d) / n
      case .huber: min(max(d, -1), 1) / n
      case .logCosh: .tanh(d) / n
      case .poisson: (y == 0 ? 1 : 1 - y / a) / n
      case .hinge: (side(y) * a < 1 ? -side(y) : 0) / n
      case .binaryCrossEntropy, .crossEntropy: preconditionFailure("\(self) is taken from z")
      }
    }
  }
}

/// The side of the margin for a target of `hinge`, ±1.
private func side<Scalar: Real>(_ y: Scalar) -> Scalar { y == 0 ? -1 : y }

extension Real {
  /// log cosh d = |d| + log(1 + e^(−2|d|)) − log 2, which cannot overflow.
  static func logCosh(_ d: Self) -> Self { abs(d) + .log(onePlus: .exp(-2 * abs(d))) - .log(2) }

  /// −1, 0 or 1
  static func sign(_ d: Self) -> Self { d > 0 ? 1 : d < 0 ? -1 : 0 }
}
