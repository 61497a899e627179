import RealModule

/// Learning-rate schedules: the rate after t epochs or steps as a function of η.
///
/// The rules and their defaults are those of PyTorch's `lr_scheduler`.
public indirect enum Schedule<Scalar: Real> {
  /// η
  case constant

  /// η γ^⌊t / N⌋
  case step(length: Int, factor: Scalar = 1 / 10)

  /// η γᵗ
  case exponential(factor: Scalar)

  /// η_min + (η − η_min) (1 + cos(π t / T)) / 2 (Loshchilov, Hutter 2017)
  case cosine(length: Int, minimum: Scalar = 0)

  /// Cosines of lengths T, T g, T g², …, each starting at η (Loshchilov, Hutter 2017)
  case cosineRestarts(length: Int, growth: Int = 1, minimum: Scalar = 0)

  /// Rises from η / d to η at t = p T − 1, then falls to η / (d e) at t = T − 1, each along half a cosine
  /// (Smith, Topin 2018)
  case oneCycle(length: Int, rise: Scalar = 3 / 10, divisor: Scalar = 25, finalDivisor: Scalar = 10_000)

  /// Rises in equal steps from f times the first rate of `schedule` to that rate at t = N, where that
  /// schedule begins.
  case warmUp(length: Int, factor: Scalar = 1 / 3, schedule: Schedule)
}

extension Schedule: Sendable where Scalar: Sendable {}
extension Schedule: Equatable {}

extension Schedule {
  /// Returns the rate after t epochs or steps, where η is the optimizer's.
  public func learningRate(_ η: Scalar, at t: Int) -> Scalar {
    switch self {
    case .constant: return η
    case .step(let N, let γ): return η * .pow(γ, t / N)
    case .exponential(let γ): return η * .pow(γ, t)
    case .cosine(let T, let minimum): return Schedule.cosine(from: η, to: minimum, Scalar(t) / Scalar(T))

    case .cosineRestarts(let T, let g, let minimum):
      var (start, end) = (0, T)
      while t >= end { (start, end) = (end, end + (end - start) * g) }
      return Schedule.cosine(from: η, to: minimum, Scalar(t - start) / Scalar(end - start))

    case .oneCycle(let T, let p, let d, let e):
      let last = Scalar(T - 1)
      let peak = p * Scalar(T) - 1
      let t = min(Scalar(t), last)
      if t < peak { return Schedule.cosine(from: η / d, to: η, t / peak) }
      if t == peak { return η }
      return Schedule.cosine(from: η, to: η / d / e, (t - peak) / (last - peak))

    case .warmUp(let N, let f, let schedule):
      if t >= N { return schedule.learningRate(η, at: t - N) }
      return schedule.learningRate(η, at: 0) * (f + (1 - f) * Scalar(t) / Scalar(N))
    }
  }

  /// b + (a − b) (1 + cos πu) / 2: a at u = 0, b at u = 1
  private static func cosine(from a: Scalar, to b: Scalar, _ u: Scalar) -> Scalar {
    b + (a - b) * (1 + .cos(.pi * u)) / 2
  }
}

/// A schedule that depends on the loss: η ← max(γ η, η_min) after more than `patience` epochs in a row
/// without improvement.
public struct Plateau<Scalar: Real> {
  /// How far a loss must be below the best one to count as better.
  public enum Threshold {
    /// Below b (1 − τ), where b is the best loss.
    case relative(Scalar)
    /// Below b − τ.
    case absolute(Scalar)
  }

  /// γ
  public let factor: Scalar
  /// The number of losses in a row that may be no better than the best.
  public let patience: Int
  /// The threshold for a better loss.
  public let threshold: Threshold
  /// The number of losses that are not counted after a reduction.
  public let cooldown: Int
  /// η_min
  public let minimum: Scalar

  /// η for the next epoch.
  public private(set) var learningRate: Scalar
  private var best: Scalar?
  private var stale = 0
  private var cooling = 0

  /// Creates a schedule without observed losses.
  public init(
    learningRate: Scalar, factor: Scalar = 1 / 10, patience: Int = 10,
    threshold: Threshold = .relative(1 / 10_000), cooldown: Int = 0, minimum: Scalar = 0
  ) {
    self.learningRate = learningRate
    self.factor = factor
    self.patience = patience
    self.threshold = threshold
    self.cooldown = cooldown
    self.minimum = minimum
  }

  /// Observes the loss of an epoch.
  public mutating func observe(_ loss: Scalar) {
    if isBetter(loss) {
      best = loss
      stale = 0
    } else {
      stale += 1
    }
    if cooling > 0 {
      cooling -= 1
      stale = 0
    }
    if stale > patience {
      learningRate = min(learningRate, max(factor * learningRate, minimum))
      cooling = cooldown
      stale = 0
    }
  }

  private func isBetter(_ loss: Scalar) -> Bool {
    guard let best else { return true }
    switch threshold {
    case .relative(let τ): return loss < best * (1 - τ)
    case .absolute(let τ): return loss < best - τ
    }
  }
}

extension Plateau: Sendable where Scalar: Sendable {}
extension Plateau.Threshold: Sendable where Scalar: Sendable {}
