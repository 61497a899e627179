internal import CChainrule
import Dispatch

/// Trains one network by backpropagation.
///
///     let trainer = try Trainer(network, loss: .crossEntropy, optimizer: .adam(learningRate: 0.001))
///     for try await epoch in trainer.epochs(20, on: train, batchSize: 32, validating: test) { print(epoch) }
///
/// The optimizer's state lives as long as the trainer, so that epochs asked for later go on where earlier ones
/// ended. Training runs on a queue of the trainer's own, never on Swift's cooperative threads. When the task
/// is cancelled, training stops after the batch in hand.
public final class Trainer<Scalar: NetworkScalar> {
  /// The network being trained.
  public let network: Network<Scalar>
  /// What training makes small; nil where it is a function of your own.
  public let loss: Loss?
  /// What training makes small, where it is a function of your own.
  public let lossFunction: LossFunction<Scalar>?
  /// How gradients become updates.
  public let optimizer: Optimizer
  /// How the learning rate changes as training goes on.
  public let schedule: Schedule
  /// What is done against overfitting and gradients that are too large.
  public let regularization: Regularization

  let core: CoreTrainer<Scalar>
  private let queue = DispatchQueue(label: "chainrule.trainer", qos: .userInitiated)
  private let tracing: Bool
  /// What the arguments say that changes the result.
  let settings: RunDescription
  private var lastBatchRows = 0

  /// - Parameters:
  ///   - schedule: How the optimizer's learning rate changes as training goes on.
  ///   - regularization: What is done against overfitting and gradients that are too large.
  ///   - accumulating: The number of batches of an update, at least 1: their gradients are those of one batch of
  ///     all their rows, to rounding. The last update of an epoch may be of fewer.
  ///   - layerRates: Factors of the learning rate, by layer, counted from 0; 1 for a layer that is not named. A layer
  ///     with 0 is frozen: neither its parameters nor its statistics change.
  ///   - seed: Of the order in which epochs visit the rows. The same seed, data and network give the same bits.
  ///   - shuffles: Whether epochs visit the rows in random order, a new one each, or as they stand.
  ///   - threads: How many share the work of a step, the calling one among them, 1 … 256. Any number gives the
  ///     same bits; a step too small to gain by more than one is done by one.
  ///   - denormals: What becomes of numbers so small that they slow a step down; see ``Denormals``.
  ///   - tracing: Keeps z, a, δ and the gradients of every layer, for ``trace()``. It costs memory, and
  ///     changes no bit of the result.
  /// - Throws: `ChainruleError.invalidNetwork` for a loss that does not fit the output layer,
  ///   `.invalidArgument` for a number that is out of its range, `.outOfMemory`.
  public convenience init(
    _ network: Network<Scalar>, loss: Loss, optimizer: Optimizer = .adam(),
    schedule: Schedule = .constant, regularization: Regularization = .none, accumulating: Int = 1,
    layerRates: [Int: Double] = [:], seed: UInt64 = 0, shuffles: Bool = true, threads: Int = 1,
    denormals: Denormals = .keep, tracing: Bool = false
  ) throws(ChainruleError) {
    try self.init(
      network, either: loss, or: nil, optimizer: optimizer, schedule: schedule,
      regularization: regularization,
      accumulating: accumulating, layerRates: layerRates, seed: seed, shuffles: shuffles, threads: threads,
      denormals: denormals, tracing: tracing)
  }

  /// A trainer with a loss of your own; the arguments are those of
  /// ``init(_:loss:optimizer:schedule:regularization:accumulating:layerRates:seed:shuffles:threads:denormals:tracing:)-(_,Loss,_,_,_,_,_,_,_,_,_,_)``.
  public convenience init(
    _ network: Network<Scalar>, loss: LossFunction<Scalar>, optimizer: Optimizer = .adam(),
    schedule: Schedule = .constant, regularization: Regularization = .none, accumulating: Int = 1,
    layerRates: [Int: Double] = [:], seed: UInt64 = 0, shuffles: Bool = true, threads: Int = 1,
    denormals: Denormals = .keep, tracing: Bool = false
  ) throws(ChainruleError) {
    try self.init(
      network, either: nil, or: loss, optimizer: optimizer, schedule: schedule,
      regularization: regularization,
      accumulating: accumulating, layerRates: layerRates, seed: seed, shuffles: shuffles, threads: threads,
      denormals: denormals, tracing: tracing)
  }

  private init(
    _ network: Network<Scalar>, either loss: Loss?, or function: LossFunction<Scalar>?, optimizer: Optimizer,
    schedule: Schedule, regularization: Regularization, accumulating: Int, layerRates: [Int: Double],
    seed: UInt64, shuffles: Bool, threads: Int, denormals: Denormals, tracing: Bool
  ) throws(ChainruleError) {
    guard accumulating >= 1 else {
      throw .invalidValue(name: "accumulating", value: "\(accumulating)", expected: "at least 1")
    }
    guard 1...256 ~= threads else {
      throw .invalidArgument(message: "threads is \(threads); expected 1 to 256")
    }
    let layers = network.layers.indices
    if let layer = layerRates.keys.sorted().first(where: { !layers.contains($0) }) {
      throw .invalidValue(name: "layer of a rate", value: "\(layer)", expected: "0 to \(layers.count - 1)")
    }
    self.network = network
    self.loss = loss
    self.lossFunction = function
    self.optimizer = optimizer
    self.schedule = schedule
    self.regularization = regularization
    self.tracing = tracing
    settings = RunDescription(
      loss: loss, optimizer: optimizer, schedule: schedule, regularization: regularization,
      accumulationSteps: accumulating, layerRates: layerRates, seed: seed, shuffle: shuffles,
      denormals: denormals)
    var training = chainrule_trainer_options_default()
    training.loss = (loss ?? .meanSquaredError).core
    training.optimizer = optimizer.core
    training.schedule = schedule.core
    training.batch_size = 1
    training.seed = seed
    training.in_order = !shuffles
    training.keep = tracing
    training.threads = threads
    training.flush_denormals = denormals == .flush
    training.label_smoothing = regularization.labelSmoothing
    training.input_noise = regularization.inputNoise
    training.clip_norm = try core(regularization.gradientClipNorm, "gradientClipNorm")
    training.clip_value = try core(regularization.gradientClipValue, "gradientClipValue")
    training.max_norm = try core(regularization.maxNorm, "maxNorm")
    training.accumulate = accumulating
    self.core = try CoreTrainer(
      network, training: training, lossFunction: function,
      rates: layerRates.isEmpty ? nil : layers.map { layerRates[$0] ?? 1 })
    try checkMemoryForThreads()

    /// nil is the core's 0.
    func core(_ bound: Double?, _ name: String) throws(ChainruleError) -> Double {
      guard let bound else { return 0 }
      guard bound > 0, bound.isFinite else {
        throw .invalidValue(name: name, value: "\(bound)", expected: "a finite number above 0")
      }
      return bound
    }
  }

  /// The number of updates done.
  public var steps: Int { core.steps }
  /// The number of whole epochs done.
  public var epochs: Int { core.epochs }

  /// The rate of the last update; before the first, and after ``setLearningRate(_:)``, that of the next.
  public var learningRate: Double { core.learningRate }

  /// Puts another η in the place of the optimizer's, for the updates to come. The schedule goes by it; with the
  /// constant one, any schedule of your own can be followed.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for what is not a finite number of at least 0, `.busy`.
  public func setLearningRate(_ learningRate: Double) throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.setLearningRate(learningRate) }
  }

  /// Tells the schedule `plateau` the loss of the epoch that has ended; to others it is nothing. Epochs of
  /// ``epochs(_:on:batchSize:validating:until:patience:checkpoints:resuming:run:onStep:)`` are told without it.
  ///
  /// - Throws: `ChainruleError.notFinite`, `.busy`.
  public func observe(_ loss: Double) throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.observe(loss) }
  }

  /// One update on `batch`, all of its rows at once. Returns L, the loss before the update.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` where the batch does not fit the network, `.invalidArgument` for
  ///   targets that the loss cannot have, `.notFinite` when a number overflowed, `.busy`.
  @discardableResult
  public func step(_ batch: Dataset<Scalar>) throws(ChainruleError) -> Double {
    try train(.step, on: batch)
  }

  /// L and its gradients on `batch`, for ``trace()``; no parameter changes.
  @discardableResult
  public func gradients(_ batch: Dataset<Scalar>) throws(ChainruleError) -> Double {
    try train(.gradients, on: batch)
  }

  private func train(
    _ call: CoreTrainer<Scalar>.Call, on batch: Dataset<Scalar>
  ) throws(ChainruleError) -> Double {
    try core.exclusivity { () throws(ChainruleError) in
      try core.setBatchSize(batch.rows)
      let loss = try core(call, on: batch)
      lastBatchRows = batch.rows
      return loss
    }
  }

  /// The next rows of data that come in parts: updates on batches of `batchSize` rows in the order they stand. Parts of
  /// whole batches come to the same bits as their rows in one. Returns the mean of the batches' losses, each before its
  /// update.
  ///
  /// - Throws: as ``step(_:)``.
  @discardableResult
  public func partialFit(_ data: Dataset<Scalar>, batchSize: Int = 32) throws(ChainruleError) -> Double {
    try checkCount("batchSize", batchSize, atLeast: 1)
    return try core.exclusivity { () throws(ChainruleError) in
      try core.setBatchSize(batchSize)
      var (sum, weight) = (0.0, 0.0)
      for start in stride(from: 0, to: data.rows, by: batchSize) {
        let rows = start..<min(start + batchSize, data.rows)
        let share = data.sampleWeights.map { $0[rows].reduce(0) { $0 + Double($1) } } ?? Double(rows.count)
        sum += try core(.step, on: data, rows: rows) * share
        weight += share
        lastBatchRows = rows.count
      }
      return weight > 0 ? sum / weight : 0
    }
  }

  /// The update that is still due where gradients are accumulated and the last ones were of fewer batches than an update
  /// takes. An epoch ends with it.
  public func flush() throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.flush() }
  }

  /// Gives up the epoch that was stopped, or whose task was cancelled, before its end: it does not count, its updates stay,
  /// and one that is still due is done. Without it the next epoch goes on behind the last batch, over the same rows in
  /// batches of the same size. Where no epoch is under way, it is ``flush()``.
  ///
  /// - Throws: `ChainruleError.notFinite`, `.busy`.
  public func abandonEpoch() throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.abandonEpoch() }
  }

  /// One epoch, in the calling thread. Returns the mean of the batches' losses, each before its update.
  @discardableResult
  public func epoch(on data: Dataset<Scalar>, batchSize: Int = 32) throws(ChainruleError) -> Double {
    try core.exclusivity { () throws(ChainruleError) in
      try core.network.adoptMissingNames(of: data)
      try core.setBatchSize(batchSize)
      while true {
        do throws(ChainruleError) {
          return try core(.epoch, on: data)
        } catch .cancelled {
          // A stop that came too late for the cancelled task it was meant for.
        }
      }
    }
  }

  /// One epoch over the batches of a source, in its order and in the calling thread. Returns the mean of the batches'
  /// losses, each before its update.
  ///
  /// It counts as any epoch, for the schedule too. Over the same rows in the same order it comes to the bits of an epoch
  /// in memory; `shuffles` has no say. An epoch that ends with an error of the source does not count, and its updates
  /// stay.
  ///
  /// - Throws: As ``step(_:)``, and what the source throws. On `.notFinite` the network has its parameters of the
  ///   beginning of the epoch again, and the optimizer begins anew.
  @discardableResult
  public func epoch(
    on source: some BatchSource<Scalar>, batchSize: Int = 32
  ) throws(ChainruleError) -> Double {
    try checkCount("batchSize", batchSize, atLeast: 1)
    return try core.exclusivity { () throws(ChainruleError) in
      while true {
        do throws(ChainruleError) {
          return try core.epoch(from: source, batchSize: batchSize) { lastBatchRows = $0 }
        } catch .cancelled {
          // A stop that came too late for the cancelled task it was meant for; it is found before the first batch.
        }
      }
    }
  }

  /// Up to `count` epochs, each done when it is asked for, and reported as it ends.
  ///
  /// The network takes over the names of the columns and classes that it has none of; a model saved later carries them.
  ///
  /// - Parameters:
  ///   - count: At least 0.
  ///   - batchSize: The rows of an update; the last of an epoch may have fewer.
  ///   - validation: Evaluated after every epoch.
  ///   - condition: Ends training after the epoch that meets it.
  ///   - patience: Ends training after so many epochs without a lower validation loss than the lowest (the
  ///     training loss where there is no validation), and restores the parameters of the lowest. They are restored
  ///     however the run ends: after the last epoch, by `onStep`, by an error or a cancellation, and when the loop is
  ///     left with `break` (or, without a loop, when the iterator is released; not while the network is in use).
  ///   - checkpoints: Where the run saves checkpoints. Its folder belongs to one run: see ``Checkpoints``.
  ///   - checkpoint: The path of the checkpoint to resume from, as if training had never been interrupted: `count` and
  ///     `patience` count from the start of that run. The trainer and its network lose their present state.
  ///   - run: What else decides the result, such as how the data were split. Checkpoints store it with a description of
  ///     the trainer, the batch size and the data. A run that differs from that of `checkpoint` ends with
  ///     `ChainruleError.differentRun`, which lists the differences; the trainer is then unchanged. `count`, `condition`,
  ///     `patience`, `checkpoints` and the number of threads may differ.
  ///   - onStep: Called after each batch, on the trainer's queue, which waits for it; it may not use the trainer or its
  ///     network. An error that it throws ends the run, as `ChainruleError.callbackFailed` if it is of another type. By `.stop` training ends after this batch, and an epoch asked for later goes on behind it, or begins anew after
  ///     ``abandonEpoch()``.
  public func epochs(
    _ count: Int, on data: Dataset<Scalar>, batchSize: Int = 32,
    validating validation: Dataset<Scalar>? = nil,
    until condition: StopCondition? = nil, patience: Int? = nil,
    checkpoints: Checkpoints? = nil, resuming checkpoint: String? = nil, run: RunDescription = [:],
    onStep: (@Sendable (TrainingStep) throws -> TrainingDecision)? = nil
  ) -> Epochs<Scalar> {
    Epochs(
      trainer: self, count: count, data: data, batchSize: batchSize, validation: validation,
      condition: condition, patience: patience, checkpoints: checkpoints, resumed: checkpoint,
      description: run, onStep: onStep)
  }

  /// Up to `count` epochs over the batches of a source, in its order; see ``epoch(on:batchSize:)-(BatchSource,_)`` and
  /// ``epochs(_:on:batchSize:validating:until:patience:checkpoints:resuming:run:onStep:)-(_,Dataset<Scalar>,_,_,_,_,_)``.
  ///
  /// When the task is cancelled, or `onStep` stops training, an epoch asked for later goes on behind the last batch, over
  /// the same source; ``abandonEpoch()`` gives it up.
  public func epochs(
    _ count: Int, on source: some BatchSource<Scalar>, batchSize: Int = 32,
    validating validation: (any BatchSource<Scalar>)? = nil,
    until condition: StopCondition? = nil, patience: Int? = nil,
    checkpoints: Checkpoints? = nil, resuming checkpoint: String? = nil, run: RunDescription = [:],
    onStep: (@Sendable (TrainingStep) throws -> TrainingDecision)? = nil
  ) -> Epochs<Scalar> {
    Epochs(
      trainer: self, count: count, data: source, batchSize: batchSize, validation: validation,
      condition: condition, patience: patience, checkpoints: checkpoints, resumed: checkpoint,
      description: run, onStep: onStep)
  }

  /// What the last ``step(_:)`` or ``gradients(_:)`` computed, layer by layer. A target scaling takes no part in a step, so
  /// that the trace ends with the layer before it.
  ///
  /// - Throws: `ChainruleError.invalidArgument` before the first step, or for a trainer made without `tracing`.
  public func trace() throws(ChainruleError) -> [LayerTrace<Scalar>] {
    try core.exclusivity { () throws(ChainruleError) in
      var traces: [LayerTrace<Scalar>] = []
      for layer in 0..<core.network.trainedLayerCount {
        let (inputs, units) = try core.network.shape(ofLayer: layer)
        let values = lastBatchRows * units
        func gradient(
          _ parameter: chainrule_parameter, _ view: chainrule_view
        ) throws(ChainruleError) -> [Scalar]? {
          let count = chainrule_network_parameter_size(core.network.pointer, layer, parameter)
          return count == 0 ? nil : try core.view(view, ofLayer: layer, count: count)
        }
        traces.append(
          LayerTrace(
            rows: lastBatchRows, inputs: inputs, units: units,
            z: try core.view(.z, ofLayer: layer, count: values),
            a: try core.view(.a, ofLayer: layer, count: values),
            delta: try core.view(.delta, ofLayer: layer, count: values),
            weightsGradient: try gradient(.weights, .weightsGradient) ?? [],
            biasGradient: try gradient(.bias, .biasGradient),
            gammaGradient: try gradient(.gamma, .gammaGradient),
            betaGradient: try gradient(.beta, .betaGradient)))
      }
      return traces
    }
  }

  /// Writes all that training needs to go on in the same bits: the network with its statistics, the optimizer's state,
  /// what has been accumulated, the schedule, and where in which epoch training is. The file is a model, too; it takes
  /// the place of what `path` held, and after a crash there is the old one or the new one.
  ///
  /// - Throws: `ChainruleError.file` where the system refuses; an earlier file is then as it was. `.invalidNetwork` for
  ///   a network with a layer of your own, `.notFinite`, `.busy`.
  public func saveCheckpoint(to path: String) throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.save(best: nil, note: nil, to: path) }
  }

  /// Takes the trainer and its network to where ``saveCheckpoint(to:)``, or a run of epochs, wrote a checkpoint. The data,
  /// the batches and the trainer's settings are to be those of then; the learning rate is the saved one.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for a checkpoint of another network or optimizer, or of an epoch in another
  ///   order, `.invalidModel` for a file that is damaged or no checkpoint, `.file`, `.busy`. The trainer is then as it
  ///   was.
  public func restoreCheckpoint(from path: String) throws(ChainruleError) {
    _ = try core.exclusivity { () throws(ChainruleError) in try core.restore(from: path) }
  }

  /// Runs `body` on the trainer's queue, while the network is taken; a cancelled task stops it.
  func onQueue<Result: Sendable>(
    isolation: isolated (any Actor)?,
    _ body: @escaping @Sendable (CoreTrainer<Scalar>) throws(ChainruleError) -> Result
  ) async throws(ChainruleError) -> Result {
    let (core, queue) = (core, queue)
    try core.exclusivity.take()
    defer { core.exclusivity.release() }
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation(isolation: isolation) { continuation in
        queue.async {
          continuation.resume(
            returning: Swift.Result { () throws(ChainruleError) in try body(core) })
        }
      }
    } onCancel: {
      core.stop()
    }
    return try result.get()
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

/// What one layer computed in a step, on a batch of `rows` rows.
public struct LayerTrace<Scalar: NetworkScalar>: Equatable, Sendable {
  /// The number of rows of the batch.
  public let rows: Int
  /// The number of inputs of the layer.
  public let inputs: Int
  /// The number of values the layer hands on; of a dense layer, of its neurons.
  public let units: Int
  /// z = W a + b, rows × units; of a normalisation (x - μ) / √(σ² + ε), else a
  public let z: [Scalar]
  /// a = f(z), rows × units
  public let a: [Scalar]
  /// δ = ∂L/∂z of a layer with an activation, else ∂L/∂a; rows × units
  public let delta: [Scalar]
  /// ∂L/∂W, units × inputs; empty where there is no W
  public let weightsGradient: [Scalar]
  /// ∂L/∂b, one value a unit; nil where there is no b
  public let biasGradient: [Scalar]?
  /// ∂L/∂γ, one value a unit; nil where there is no γ
  public let gammaGradient: [Scalar]?
  /// ∂L/∂β, one value a unit; nil where there is no β
  public let betaGradient: [Scalar]?
}
