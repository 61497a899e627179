/// Regularisation during training: measures against overfitting and large gradients, in addition to the
/// optimizer's weight decay and the network's ``Dropout``.
public struct Regularization: Hashable, Codable, Sendable {
  /// s, 0 ≤ s < 1: a target y becomes (1 − s) y + s / n for `crossEntropy` with n classes, (1 − s) y + s / 2
  /// for `binaryCrossEntropy` (Szegedy et al. 2016). Other losses refuse it.
  public var labelSmoothing: Double
  /// σ ≥ 0: every feature becomes x + σ n, where n is drawn from the standard normal distribution for every
  /// step. In a network that begins with a ``Scaling``, x is that layer's output, so σ is in units of its
  /// deviations.
  public var inputNoise: Double
  /// c > 0: all gradients are multiplied by min(1, c / (‖g‖₂ + 10⁻⁶)), where ‖g‖₂ is the norm of all of them
  /// together (Pascanu, Mikolov & Bengio 2013); `nil`: no clipping.
  public var gradientClipNorm: Double?
  /// c > 0: each ∂L/∂p is limited to −c … c, after ``gradientClipNorm``; `nil`: no limit.
  public var gradientClipValue: Double?
  /// c > 0: after an update the weights Wⱼ of a neuron with ‖Wⱼ‖₂ > c become c Wⱼ / ‖Wⱼ‖₂ (Srivastava et al.
  /// 2014); `nil`: no limit.
  public var maxNorm: Double?

  /// Creates a regularisation. By default everything is off.
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

  /// No regularisation.
  public static let none = Regularization()

  /// Reads a regularisation; whatever is missing is off.
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

/// A custom loss.
///
///     let quantile = LossFunction<Float> { outputs, targets, columns in
///       let d = zip(targets, outputs).map { $0 - $1 }
///       return (losses: d.map { Double(max(0.9 * $0, -0.1 * $0)) }, gradient: d.map { $0 > 0 ? -0.9 : 0.1 })
///     }
///     let trainer = try Trainer(network, loss: quantile)
///
/// Each batch calls it once, with outputs a and targets y, both row-major with `columns` columns. It returns
/// lᵣ of each row and ∂lᵣ/∂a, as many numbers as there are outputs. L is the mean of lᵣ, weighted by the
/// rows' weights. If it throws, the step changes no parameter and throws that error, as
/// `ChainruleError.callbackFailed` if it is of another type. With a target scaling both a and y are in
/// standardised units.
public struct LossFunction<Scalar: NetworkScalar>: Sendable {
  let body: @Sendable ([Scalar], [Scalar], Int) throws -> (losses: [Double], gradient: [Scalar])

  /// Creates a loss from a function that returns the losses and the gradient.
  public init(
    _ body:
      @escaping @Sendable (_ outputs: [Scalar], _ targets: [Scalar], _ columns: Int) throws -> (
        losses: [Double], gradient: [Scalar]
      )
  ) {
    self.body = body
  }

  /// Computes L of outputs and targets, both row-major, with the sample weights of `data`.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if the function returns another number of losses than there are
  ///   rows.
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
