import RealModule

/// A layer of a network: a function of x, the a of the previous layer, with parameters.
///
/// Training learns W, b, γ and β.  The mean, the variance and the deviation are statistics, which it does not
/// learn: those of a `scaling` are given, those of a `batchNorm` are updated by the batches.
public struct Layer<Scalar: Real> {
  /// The function of the layer.
  public enum Kind {
    /// z = W x + b, a = f(z)
    case dense(Activation)
    /// a = f(x)
    case activation(Activation)
    /// a = x / (1 − p) if x is kept, else 0; in predictions a = x (Srivastava et al. 2014)
    case dropout(rate: Scalar)
    /// z = (x − μ) / √(σ² + ε), a = γ z + β, with μ and σ² of a feature over the rows of the batch. In
    /// predictions these are the running statistics; every batch replaces the fraction `momentum` of them
    /// (Ioffe, Szegedy 2015)
    case batchNorm(momentum: Scalar, epsilon: Scalar)
    /// The same with μ and σ² of a row, over its features (Ba, Kiros, Hinton 2016)
    case layerNorm(epsilon: Scalar)
    /// a = (x − mean) / deviation
    case scaling
    /// a = x + the x of the first of the `span` layers before (He et al. 2016)
    case residual(span: Int)
  }

  /// The function of the layer.
  public let kind: Kind
  /// W of a dense layer, [out][in]; empty for other kinds
  public var weights: [[Scalar]] = []
  /// b of a dense layer, [out]; `nil` without a bias
  public var bias: [Scalar]?
  /// γ of a normalisation, [features]; the arrays below have the same shape
  public var gamma: [Scalar]?
  /// β of a normalisation
  public var beta: [Scalar]?
  /// The running mean of a batchNorm; the subtracted mean of a scaling
  public var mean: [Scalar]?
  /// The running variance of a batchNorm
  public var variance: [Scalar]?
  /// The divisor of a scaling
  public var deviation: [Scalar]?

  /// Whether training does not change the layer; a batchNorm then uses its running statistics in training
  /// too.
  public var isFrozen = false

  private init(_ kind: Kind) { self.kind = kind }

  /// Creates a dense layer of `weights.count` neurons.
  public init(weights: [[Scalar]], bias: [Scalar]?, activation: Activation) {
    precondition(weights.allSatisfy { $0.count == weights[0].count }, "every row of W has the same length")
    precondition(bias == nil || bias!.count == weights.count, "b has one number for each row of W")
    self.init(.dense(activation))
    self.weights = weights
    self.bias = bias
  }

  /// Returns an activation as a layer of its own.
  public static func activation(_ f: Activation) -> Layer { Layer(.activation(f)) }

  /// Returns a layer that drops values with probability `rate`; ``Network/forward(_:kept:)`` receives the
  /// choice.
  public static func dropout(rate: Scalar) -> Layer {
    precondition(rate >= 0 && rate < 1, "0 ≤ rate < 1")
    return Layer(.dropout(rate: rate))
  }

  /// Returns a batchNorm of `gamma.count` features. The running statistics default to 0 and 1.
  public static func batchNorm(
    gamma: [Scalar], beta: [Scalar], momentum: Scalar, epsilon: Scalar, mean: [Scalar]? = nil,
    variance: [Scalar]? = nil
  ) -> Layer {
    var layer = Layer(.batchNorm(momentum: momentum, epsilon: epsilon))
    layer.gamma = gamma
    layer.beta = beta
    layer.mean = mean ?? gamma.map { _ in 0 }
    layer.variance = variance ?? gamma.map { _ in 1 }
    precondition(
      [beta, layer.mean!, layer.variance!].allSatisfy { $0.count == gamma.count }, "a number for each feature"
    )
    return layer
  }

  /// Returns a layerNorm of `gamma.count` features.
  public static func layerNorm(gamma: [Scalar], beta: [Scalar], epsilon: Scalar) -> Layer {
    precondition(gamma.count == beta.count, "a number for each feature")
    var layer = Layer(.layerNorm(epsilon: epsilon))
    layer.gamma = gamma
    layer.beta = beta
    return layer
  }

  /// Returns a scaling of `mean.count` features.
  public static func scaling(mean: [Scalar], deviation: [Scalar]) -> Layer {
    precondition(mean.count == deviation.count, "a number for each feature")
    var layer = Layer(.scaling)
    layer.mean = mean
    layer.deviation = deviation
    return layer
  }

  /// Returns the sum after a block of `span` layers.
  public static func residual(span: Int) -> Layer {
    precondition(span >= 1, "a block has a layer")
    return Layer(.residual(span: span))
  }

  /// f; identity if the layer has none
  public var activation: Activation {
    switch kind {
    case .dense(let f), .activation(let f): f
    default: .identity
    }
  }

  var isScaling: Bool { if case .scaling = kind { true } else { false } }

  /// The sizes of the layer's input and output; `nil` if the layer works with any size.
  var shape: (inputs: Int, outputs: Int)? {
    if !weights.isEmpty { return (weights[0].count, weights.count) }
    return (gamma ?? mean).map { ($0.count, $0.count) }
  }
}

// MARK: - Forward

extension Layer {
  /// Returns z = W x + b of one row; x is [in], z [out].
  public func z(_ x: [Scalar]) -> [Scalar] {
    weights.indices.map { j in dot(weights[j], x) + (bias?[j] ?? 0) }
  }

  /// Returns z and a of a batch in training; x, z and a are [rows][features].
  ///
  /// For a layer with neither f nor a normalisation, z is a.
  ///
  /// - Parameters:
  ///   - start: The x of the first layer of a residual's block.
  ///   - kept: For a dropout, whether each value is kept, [rows][features].
  func forward(_ x: [[Scalar]], from start: [[Scalar]], kept: [[Bool]]?) -> (z: [[Scalar]], a: [[Scalar]]) {
    switch kind {
    case .dense(let f):
      let z = x.map(self.z)
      return (z, z.map(f.values))
    case .activation(let f):
      return (x, x.map(f.values))
    case .dropout(let p):
      let a = dropped(x, kept, p)
      return (a, a)
    case .batchNorm(_, let ε):
      let z =
        isFrozen
        ? x.map { normalizedByStatistics($0, ε) } : transposed(transposed(x).map { normalized($0, ε) })
      return (z, z.map(scaledAndShifted))
    case .layerNorm(let ε):
      let z = x.map { normalized($0, ε) }
      return (z, z.map(scaledAndShifted))
    case .scaling:
      let a = x.map { x in x.indices.map { j in (x[j] - mean![j]) / deviation![j] } }
      return (a, a)
    case .residual:
      let a = added(x, start)
      return (a, a)
    }
  }

  /// Returns a of one batch in prediction: nothing is dropped, and a batchNorm uses its running statistics.
  func predict(_ x: [[Scalar]], from start: [[Scalar]]) -> [[Scalar]] {
    switch kind {
    case .dropout:
      x
    case .batchNorm(_, let ε):
      x.map { scaledAndShifted(normalizedByStatistics($0, ε)) }
    default:
      forward(x, from: start, kept: nil).a
    }
  }

  /// Returns z of one row, normalised by the running statistics.
  private func normalizedByStatistics(_ x: [Scalar], _ ε: Scalar) -> [Scalar] {
    x.indices.map { j in (x[j] - mean![j]) / .sqrt(variance![j] + ε) }
  }

  /// Returns γ ⊙ z + β of one row.
  private func scaledAndShifted(_ z: [Scalar]) -> [Scalar] {
    z.indices.map { j in gamma![j] * z[j] + beta![j] }
  }

  /// Updates the running statistics with a batch x, [rows][features], of weight m:
  ///
  ///     mean ← (1 − m) mean + m μ        variance ← (1 − m) variance + m σ² n / (n − 1)
  ///
  /// With n / (n − 1), where n is the number of rows, the estimate of the variance is unbiased. A single row
  /// has no such estimate, and changes nothing.
  mutating func follow(_ x: [[Scalar]]) {
    guard case .batchNorm(let m, _) = kind, x.count > 1, !isFrozen else { return }
    let n = Scalar(x.count)
    for (j, xⱼ) in transposed(x).enumerated() {
      let (μ, σ²) = moments(xⱼ)
      mean![j] = (1 - m) * mean![j] + m * μ
      variance![j] = (1 - m) * variance![j] + m * σ² * n / (n - 1)
    }
  }
}

// MARK: - Max-norm

extension Layer {
  /// Wⱼ ← c Wⱼ / ‖Wⱼ‖ for each neuron j with ‖Wⱼ‖ = √(Σ Wⱼᵢ²) > c (Srivastava et al. 2014)
  mutating func limit(_ c: Scalar) {
    for j in weights.indices {
      let norm = Scalar.sqrt(dot(weights[j], weights[j]))
      if norm > c { weights[j] = weights[j].map { c * $0 / norm } }
    }
  }
}

// MARK: - Backward

extension Layer {
  /// Returns δ of a batch from ∂L/∂a: ∂L/∂z for a layer with an f, ∂L/∂a for the others; all are
  /// [rows][features].
  func delta(_ dLda: [[Scalar]], z: [[Scalar]]) -> [[Scalar]] {
    switch kind {
    case .dense(let f), .activation(let f): zip(dLda, z).map { f.backward($0, z: $1) }
    default: dLda
    }
  }

  /// Returns ∂L/∂x of a batch, [rows][inputs], from δ, [rows][outputs].
  ///
  /// A residual also passes δ to the input of its block; the network adds it there.
  func backward(_ δ: [[Scalar]], x: [[Scalar]], kept: [[Bool]]?) -> [[Scalar]] {
    switch kind {
    case .dense:
      let Wᵀ = transposed(weights)  // [in][out]
      return δ.map { δ in Wᵀ.map { dot($0, δ) } }
    case .activation, .residual:
      return δ
    case .dropout(let p):
      return dropped(δ, kept, p)
    case .batchNorm(_, let ε):
      let g = δ.map { zip($0, gamma!).map { $0 * $1 } }
      if isFrozen { return g.map { zip($0, variance!).map { $0 / .sqrt($1 + ε) } } }
      return transposed(zip(transposed(g), transposed(x)).map { normalizedBackward($0, x: $1, ε) })
    case .layerNorm(let ε):
      let g = δ.map { zip($0, gamma!).map { $0 * $1 } }
      return zip(g, x).map { normalizedBackward($0, x: $1, ε) }
    case .scaling:
      return δ.map { zip($0, deviation!).map { $0 / $1 } }
    }
  }

  /// Returns the gradient of the layer's parameters from δ, [rows][outputs]; x is [rows][inputs], z
  /// [rows][outputs].
  ///
  ///     ∂L/∂W = Σ δ xᵀ    ∂L/∂b = Σ δ    ∂L/∂γ = Σ δ ⊙ z    ∂L/∂β = Σ δ    sums over the rows
  func gradient(_ δ: [[Scalar]], x: [[Scalar]], z: [[Scalar]]) -> Gradient<Scalar> {
    let δᵀ = transposed(δ)  // [outputs][rows]
    switch kind {
    case .dense:
      let xᵀ = transposed(x)  // [inputs][rows]
      return Gradient(
        weights: δᵀ.map { δⱼ in xᵀ.map { xᵢ in dot(δⱼ, xᵢ) } }, bias: bias == nil ? nil : δᵀ.map(sum))
    case .batchNorm, .layerNorm:
      return Gradient(gamma: zip(δᵀ, transposed(z)).map { dot($0, $1) }, beta: δᵀ.map(sum))
    case .activation, .dropout, .scaling, .residual:
      return Gradient()
    }
  }
}

// MARK: - Functions of the layers

/// μ = Σ x / n and σ² = Σ (x − μ)² / n of n numbers
func moments<Scalar: Real>(_ x: [Scalar]) -> (μ: Scalar, σ²: Scalar) {
  let n = Scalar(x.count)
  let μ = sum(x) / n
  return (μ, sum(x.map { ($0 - μ) * ($0 - μ) }) / n)
}

/// z = (x − μ) / √(σ² + ε) of n numbers; 0 for a single number.
func normalized<Scalar: Real>(_ x: [Scalar], _ ε: Scalar) -> [Scalar] {
  let (μ, σ²) = moments(x)
  return x.map { ($0 - μ) / .sqrt(σ² + ε) }
}

/// Returns ∂L/∂x of n numbers from g = ∂L/∂z, with s = √(σ² + ε).
///
/// From ∂μ/∂xᵢ = 1/n and ∂σ²/∂xᵢ = 2 (xᵢ − μ)/n follows ∂zⱼ/∂xᵢ = (1[i = j] − 1/n − zᵢ zⱼ/n) / s, and
/// therefore ∂L/∂xᵢ = Σⱼ gⱼ ∂zⱼ/∂xᵢ = (gᵢ − Σ g / n − zᵢ Σ g z / n) / s.
func normalizedBackward<Scalar: Real>(_ g: [Scalar], x: [Scalar], _ ε: Scalar) -> [Scalar] {
  let n = Scalar(x.count)
  let z = normalized(x, ε)
  let s = Scalar.sqrt(moments(x).σ² + ε)
  let (Σg, Σgz) = (sum(g), dot(g, z))
  return zip(g, z).map { gᵢ, zᵢ in (gᵢ - Σg / n - zᵢ * Σgz / n) / s }
}

/// x / (1 − p) if it is kept, else 0, so that the mean over all masks is x.
private func dropped<Scalar: Real>(_ x: [[Scalar]], _ kept: [[Bool]]?, _ p: Scalar) -> [[Scalar]] {
  guard let kept else { preconditionFailure("a dropout is told which values it keeps") }
  precondition(kept.map(\.count) == x.map(\.count), "a mask of the shape of x")
  return zip(x, kept).map { x, kept in zip(x, kept).map { $1 ? $0 / (1 - p) : 0 } }
}

/// x + y of two batches.
func added<Scalar: Real>(_ x: [[Scalar]], _ y: [[Scalar]]) -> [[Scalar]] {
  precondition(x.map(\.count) == y.map(\.count), "a sum of batches of one shape")
  return zip(x, y).map { x, y in zip(x, y).map { $0 + $1 } }
}

extension Layer: Sendable where Scalar: Sendable {}
extension Layer.Kind: Sendable where Scalar: Sendable {}
