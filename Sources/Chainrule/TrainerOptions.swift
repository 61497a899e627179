internal import CChainrule

/// The options of a ``Trainer``, in addition to its loss and its optimizer.
///
///     let options = TrainerOptions(schedule: Schedule(.cosine()), seed: 1, threads: 4)
///     let trainer = try Trainer(network, loss: .crossEntropy, options: options)
public struct TrainerOptions: Hashable, Sendable {
  /// The schedule of the learning rate.
  public var schedule: Schedule
  /// Measures against overfitting and large gradients.
  public var regularization: Regularization
  /// The number of batches per update, at least 1. The accumulated gradients are those of one batch of all
  /// their rows, to rounding. The last update of an epoch may have fewer batches.
  public var accumulationSteps: Int
  /// Factors of the learning rate by layer, counted from 0; layers that are not named have 1. A layer with 0
  /// is frozen: neither its parameters nor its statistics change.
  public var layerRates: [Int: Double]
  /// Seeds the order in which epochs visit the rows. The same seed, data and network give the same bits.
  public var seed: UInt64
  /// Whether each epoch visits the rows in a new random order, or in the order of the data.
  public var shuffle: Bool
  /// The number of threads that share the work of a step, 1 … 256, including the calling thread. Any number
  /// gives the same bits; a step that is too small for several threads runs on one.
  public var threads: Int
  /// The treatment of denormal numbers, which slow a step down.
  public var denormals: Denormals
  /// Whether to keep z, a, δ and the gradients of every layer for ``Trainer/trace()`` and
  /// ``Trainer/gradients(_:)``. This needs more memory, and changes no bit of the result.
  public var recordsTrace: Bool

  /// Creates options with defaults.
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

/// The treatment of denormal numbers in training: magnitudes below 2⁻¹²⁶ in float32, 2⁻¹⁰²² in float64. They
/// have fewer digits than other numbers, and most CPUs take many times as long to compute with them.
///
/// They arise from values that decay step by step without being renewed: in the moments of `adam` for a
/// neuron whose gradient has become 0, in gradients that pass through a saturated sigmoid, in weights with
/// strong weight decay. If steps get slower during training, denormals are the likely reason.
public enum Denormals: Hashable, Sendable {
  /// Compute with them as IEEE 754 specifies.
  case keep
  /// Treat them as 0 wherever a step reads or would write them, so that no step is slow. The bits of the
  /// parameters differ from those of ``keep``, predictions seldom do. Because bits change, this is not the
  /// default.
  case flush
}

// MARK: - For the core

extension TrainerOptions {
  /// Throws for a number that is out of its range and that the core does not check or cannot represent.
  func check(layers: Int) throws(ChainruleError) {
    try checkCount("accumulationSteps", accumulationSteps, atLeast: 1)
    guard 1...256 ~= threads else {
      throw .invalidArgument(message: "threads is \(threads); expected 1 to 256")
    }
    if let layer = layerRates.keys.sorted().first(where: { !(0..<layers ~= $0) }) {
      throw .invalidValue(name: "layer of a rate", value: "\(layer)", expected: "0 to \(layers - 1)")
    }
  }

  /// The factor of each layer; `nil` if all are 1.
  func rates(layers: Int) -> [Double]? {
    layerRates.isEmpty ? nil : (0..<layers).map { layerRates[$0] ?? 1 }
  }

  /// The core's options without the loss, the optimizer and the rates.
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

  /// Returns the core's 0 for `nil`.
  private func bound(_ bound: Double?, _ name: String) throws(ChainruleError) -> Double {
    guard let bound else { return 0 }
    guard bound > 0, bound.isFinite else {
      throw .invalidValue(name: name, value: "\(bound)", expected: "a finite number above 0")
    }
    return bound
  }
}
