import RealModule

/// Losses: L is the mean over a batch of l(a, y), the loss of one sample.
///
/// n is the number of outputs, d = a − y.  Where l has a kink its slope there is 0.
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
  /// (1/n) Σ a − y log a, where y = 0 leaves a; a > 0
  case poisson
  /// (1/n) Σ max(0, 1 − y a), with y = ±1, or with class labels 0 and 1, of which 0 stands for −1
  case hinge
}

extension Loss {
  /// The output activation this loss is defined with, or nil where any will do.
  ///
  /// Both cross-entropies are computed from z, since log a is not finite where a rounds to 0 or 1.
  public var requiredOutput: Activation? {
    switch self {
    case .binaryCrossEntropy: .sigmoid
    case .crossEntropy: .softmax
    default: nil
    }
  }

  /// The targets y of one sample, [n], with a share s of doubt (Szegedy et al. 2016): of classes y ← (1 − s) y + s/n,
  /// of yes and no y ← (1 − s) y + s/2.
  public func smoothed<Scalar: Real>(_ y: [Scalar], by s: Scalar) -> [Scalar] {
    switch self {
    case .crossEntropy: y.map { (1 - s) * $0 + s / Scalar(y.count) }
    case .binaryCrossEntropy: y.map { (1 - s) * $0 + s / 2 }
    default: preconditionFailure("the targets of \(self) are no probabilities")
    }
  }

  /// l of one sample; z, a and y are [n].
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

  /// δ = ∂l/∂z of one sample, whose outputs are a = output(z); all are [n].
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

  /// ∂l/∂a of one sample, [n].
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

/// The side of the margin on which a target of `hinge` lies, ±1.
private func side<Scalar: Real>(_ y: Scalar) -> Scalar { y == 0 ? -1 : y }

extension Real {
  /// log cosh d = |d| + log(1 + e^(−2|d|)) − log 2, which cannot overflow.
  static func logCosh(_ d: Self) -> Self { abs(d) + .log(onePlus: .exp(-2 * abs(d))) - .log(2) }

  /// −1, 0 or 1
  static func sign(_ d: Self) -> Self { d > 0 ? 1 : d < 0 ? -1 : 0 }
}
