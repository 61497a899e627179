/// What training does against overfitting and against gradients that are too large, beside the optimizer's weight decay
/// and the network's ``Dropout``.
public struct Regularization: Hashable, Codable, Sendable {
  /// s, 0 ≤ s < 1: a target y becomes (1 − s) y + s / n for `crossEntropy` with n classes, (1 − s) y + s / 2 for
  /// `binaryCrossEntropy` (Szegedy et al. 2016). Other losses refuse it.
  public var labelSmoothing: Double
  /// σ ≥ 0: every feature becomes x + σ n, n drawn anew from the standard normal distribution for every step. In a network
  /// that begins with a ``Scaling``, x is what that hands on: σ counts in its deviations.
  public var inputNoise: Double
  /// c > 0: all gradients are multiplied by min(1, c / (‖g‖₂ + 10⁻⁶)), ‖g‖₂ that of all of them together
  /// (Pascanu, Mikolov & Bengio 2013); nil: as they are.
  public var gradientClipNorm: Double?
  /// c > 0: each ∂L/∂p is brought into −c … c, after ``gradientClipNorm``; nil: as it is.
  public var gradientClipValue: Double?
  /// c > 0: after an update the weights Wⱼ of a neuron with ‖Wⱼ‖₂ > c become c Wⱼ / ‖Wⱼ‖₂ (Srivastava et al. 2014); nil:
  /// they stay.
  public var maxNorm: Double?

  /// None of it, but for what is given.
  public init(
    labelSmoothing: Double = 0, inputNoise: Double = 0, gradientClipNorm: Double? = nil,
    gradientClipValue: Double? = nil, maxNorm: Double? = nil
  ) {
    self.labelSmoothing = labelSmoothing
    self.inputNoise = inputNoise
    self.gradientClipNorm = gradientClipNorm
    self.gradientClipValue = gradientClipValue
    self.maxNorm = maxNorm
  }

  /// None of it.
  public static let none = Regularization()

  /// Reads what is given; of what is left out there is none.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      labelSmoothing: try container.decodeIfPresent(Double.self, forKey: .labelSmoothing) ?? 0,
      inputNoise: try container.decodeIfPresent(Double.self, forKey: .inputNoise) ?? 0,
      gradientClipNorm: try container.decodeIfPresent(Double.self, forKey: .gradientClipNorm),
      gradientClipValue: try container.decodeIfPresent(Double.self, forKey: .gradientClipValue),
      maxNorm: try container.decodeIfPresent(Double.self, forKey: .maxNorm))
  }
}

/// A loss of your own.
///
///     let quantile = LossFunction<Float> { outputs, targets, columns in
///       let d = zip(targets, outputs).map { $0 - $1 }
///       return (losses: d.map { Double(max(0.9 * $0, -0.1 * $0)) }, gradient: d.map { $0 > 0 ? -0.9 : 0.1 })
///     }
///     let trainer = try Trainer(network, loss: quantile)
///
/// It is called once a batch, with outputs a and targets y, both row-major with `columns` columns, and returns lᵣ of each
/// row and ∂lᵣ/∂a, as many numbers as there are outputs. Where it throws, the step changes no parameter and throws that error,
/// as `ChainruleError.callbackFailed` if it is of another type. L is then the mean of lᵣ, weighted by the rows' weights. With a
/// target scaling both a and y are in standardised units.
public struct LossFunction<Scalar: NetworkScalar>: Sendable {
  let body: @Sendable ([Scalar], [Scalar], Int) throws -> (losses: [Double], gradient: [Scalar])

  /// A loss and its gradient.
  public init(
    _ body:
      @escaping @Sendable (_ outputs: [Scalar], _ targets: [Scalar], _ columns: Int) throws -> (
        losses: [Double], gradient: [Scalar]
      )
  ) {
    self.body = body
  }

  /// L of outputs against targets, both row-major, with the sample weights of `data`.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` where the function returns another number of losses than there are rows.
  func value(
    outputs: [Scalar], targets: [Scalar], of data: Dataset<Scalar>
  ) throws(ChainruleError) -> Double {
    let losses = try calling("the loss function") { try body(outputs, targets, data.outputs).losses }
    guard losses.count == data.rows else {
      throw .shapeMismatch(what: "losses of a loss function", expected: data.rows, actual: losses.count)
    }
    let weights = data.sampleWeights?.map { Double($0) } ?? [Double](repeating: 1, count: data.rows)
    return zip(weights, losses).reduce(0) { $0 + $1.0 * $1.1 } / weights.reduce(0, +)
  }
}
