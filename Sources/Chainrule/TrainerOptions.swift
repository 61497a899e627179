internal import CChainrule

/// How a ``Trainer`` trains, beside its loss and its optimizer.
///
///     let options = TrainerOptions(schedule: Schedule(.cosine()), seed: 1, threads: 4)
///     let trainer = try Trainer(network, loss: .crossEntropy, options: options)
public struct TrainerOptions: Hashable, Sendable {
  /// How the optimizer's learning rate changes as training goes on.
  public var schedule: Schedule
  /// What is done against overfitting and gradients that are too large.
  public var regularization: Regularization
  /// The number of batches of an update, at least 1: their gradients are those of one batch of all their rows, to
  /// rounding. The last update of an epoch may be of fewer.
  public var accumulationSteps: Int
  /// Factors of the learning rate, by layer, counted from 0; 1 for a layer that is not named. A layer with 0 is frozen:
  /// neither its parameters nor its statistics change.
  public var layerRates: [Int: Double]
  /// Seeds the order in which epochs visit the rows. The same seed, data and network give the same bits.
  public var seed: UInt64
  /// Whether epochs visit the rows in random order, a new one each, or as they stand.
  public var shuffle: Bool
  /// How many threads share the work of a step, the calling one among them, 1 … 256. Any number gives the same bits; a step
  /// too small to gain by more than one is done by one.
  public var threads: Int
  /// What becomes of numbers so small that they slow a step down.
  public var denormals: Denormals
  /// Whether z, a, δ and the gradients of every layer are kept, for ``Trainer/trace()`` and ``Trainer/gradients(_:)``. It
  /// costs memory, and changes no bit of the result.
  public var recordsTrace: Bool

  /// The defaults, but for what is given.
  public init(
    schedule: Schedule = .constant, regularization: Regularization = .none, accumulationSteps: Int = 1,
    layerRates: [Int: Double] = [:], seed: UInt64 = 0, shuffle: Bool = true, threads: Int = 1,
    denormals: Denormals = .keep, recordsTrace: Bool = false
  ) {
    self.schedule = schedule
    self.regularization = regularization
    self.accumulationSteps = accumulationSteps
    self.layerRates = layerRates
    self.seed = seed
    self.shuffle = shuffle
    self.threads = threads
    self.denormals = denormals
    self.recordsTrace = recordsTrace
  }
}

/// What becomes of denormal numbers in training: of magnitudes below 2⁻¹²⁶ in float32, 2⁻¹⁰²² in float64, which
/// have fewer digits than others, and with which most CPUs take many times as long to compute.
///
/// They come about where values decay step by step and nothing renews them: in the moments that `adam` keeps for
/// a neuron whose gradient has become 0, in the gradients behind a saturated sigmoid, in weights under a strong
/// decay. Where steps get slower as training goes on, they are the likely reason.
public enum Denormals: Hashable, Sendable {
  /// They are computed with as IEEE 754 says.
  case keep
  /// They count as 0 wherever a step reads or would write them, so that no step is slow. The parameters come to
  /// other bits than with ``keep``, seldom to other predictions; since bits change, it is to be asked for.
  case flush
}

// MARK: - For the core

extension TrainerOptions {
  /// Throws for a number out of its range that the core does not check, or has no sign for.
  func check(layers: Int) throws(ChainruleError) {
    try checkCount("accumulationSteps", accumulationSteps, atLeast: 1)
    guard 1...256 ~= threads else {
      throw .invalidArgument(message: "threads is \(threads); expected 1 to 256")
    }
    if let layer = layerRates.keys.sorted().first(where: { !(0..<layers ~= $0) }) {
      throw .invalidValue(name: "layer of a rate", value: "\(layer)", expected: "0 to \(layers - 1)")
    }
  }

  /// The factor of each layer; nil where all are 1.
  func rates(layers: Int) -> [Double]? {
    layerRates.isEmpty ? nil : (0..<layers).map { layerRates[$0] ?? 1 }
  }

  /// All but the loss, the optimizer and the rates.
  func core() throws(ChainruleError) -> chainrule_trainer_options {
    var training = chainrule_trainer_options_default()
    training.schedule = schedule.core
    training.batch_size = 1
    training.seed = seed
    training.in_order = !shuffle
    training.keep = recordsTrace
    training.threads = threads
    training.flush_denormals = denormals == .flush
    training.label_smoothing = regularization.labelSmoothing
    training.input_noise = regularization.inputNoise
    training.clip_norm = try bound(regularization.gradientClipNorm, "gradientClipNorm")
    training.clip_value = try bound(regularization.gradientClipValue, "gradientClipValue")
    training.max_norm = try bound(regularization.maxNorm, "maxNorm")
    training.accumulate = accumulationSteps
    return training
  }

  /// nil is the core's 0.
  private func bound(_ bound: Double?, _ name: String) throws(ChainruleError) -> Double {
    guard let bound else { return 0 }
    guard bound > 0, bound.isFinite else {
      throw .invalidValue(name: name, value: "\(bound)", expected: "a finite number above 0")
    }
    return bound
  }
}
