internal import CChainrule
import Dispatch

/// Trains one network by backpropagation.
///
///     let trainer = try Trainer(network, loss: .crossEntropy, optimizer: .adam(learningRate: 0.001))
///     for try await epoch in trainer.epochs(20, on: train, batchSize: 32, validating: test) { print(epoch) }
///
/// The optimizer's state lives as long as the trainer, so that later epochs continue where earlier ones
/// ended. Training runs on the trainer's own queue, never on Swift's cooperative threads. When the task is
/// cancelled, training stops after the current batch.
public final class Trainer<Scalar: NetworkScalar> {
  /// The network to train.
  public let network: Network<Scalar>
  /// The loss that training minimises; `nil` for a custom loss.
  public let loss: Loss?
  /// The custom loss that training minimises; `nil` for a loss of the catalogue.
  public let lossFunction: LossFunction<Scalar>?
  /// The rule that turns gradients into updates.
  public let optimizer: Optimizer
  /// The other options of training.
  public let options: TrainerOptions

  let core: CoreTrainer<Scalar>
  private let queue = DispatchQueue(label: "chainrule.trainer", qos: .userInitiated)
  /// The arguments that affect the result.
  let settings: RunDescription
  private var lastBatchRows = 0

  /// Creates a trainer of `network`.
  ///
  /// - Throws: `ChainruleError.invalidNetwork` for a loss that does not fit the output layer,
  ///   `.invalidArgument` and `.invalidValue` for a number that is out of its range, `.outOfMemory`.
  public convenience init(
    _ network: Network<Scalar>, loss: Loss, optimizer: Optimizer = .adam(),
    options: TrainerOptions = TrainerOptions()
  ) throws(ChainruleError) {
    try self.init(network, either: loss, or: nil, optimizer: optimizer, options: options)
  }

  /// Creates a trainer of `network` with a custom loss.
  ///
  /// - Throws: The errors of ``init(_:loss:optimizer:options:)-(_,Loss,_,_)``.
  public convenience init(
    _ network: Network<Scalar>, loss: LossFunction<Scalar>, optimizer: Optimizer = .adam(),
    options: TrainerOptions = TrainerOptions()
  ) throws(ChainruleError) {
    try self.init(network, either: nil, or: loss, optimizer: optimizer, options: options)
  }

  private init(
    _ network: Network<Scalar>, either loss: Loss?, or function: LossFunction<Scalar>?, optimizer: Optimizer,
    options: TrainerOptions
  ) throws(ChainruleError) {
    try options.check(layers: network.layers.count)
    self.network = network
    self.loss = loss
    self.lossFunction = function
    self.optimizer = optimizer
    self.options = options
    settings = RunDescription(loss: loss, optimizer: optimizer, options: options)
    var training = try options.core()
    training.loss = (loss ?? .meanSquaredError).core
    training.optimizer = optimizer.core
    core = try CoreTrainer(
      network, training: training, lossFunction: function, rates: options.rates(layers: network.layers.count))
    try checkMemoryForThreads()
  }

  /// The number of completed updates.
  public var steps: Int { core.steps }
  /// The number of completed epochs.
  public var completedEpochs: Int { core.epochs }

  /// The learning rate of the last update. Before the first update, and after ``setLearningRate(_:)``, that
  /// of the next.
  public var learningRate: Double { core.learningRate }

  /// Sets the base learning rate η for later updates. The schedule scales it; with a constant schedule, this
  /// method can implement any custom schedule.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for a number that is negative or not finite, `.busy`.
  public func setLearningRate(_ learningRate: Double) throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.setLearningRate(learningRate) }
  }

  /// Reports the loss of the epoch that has ended to a `plateau` schedule; other schedules ignore it.
  /// `epochs(…)` and `fit(…)` report it themselves.
  ///
  /// - Throws: `ChainruleError.notFinite`, `.busy`.
  public func observe(_ loss: Double) throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.observe(loss) }
  }

  /// Performs one update on all rows of `batch` at once. Returns L, the loss before the update.
  ///
  /// - Throws: `ChainruleError.shapeMismatch` if the batch does not fit the network, `.invalidArgument` for
  ///   targets that the loss cannot have, `.notFinite` if a number overflowed, `.busy`.
  @discardableResult
  public func step(_ batch: Dataset<Scalar>) throws(ChainruleError) -> Double {
    try train(.step, on: batch)
  }

  /// Computes L of `batch` and its gradients; no parameter changes.
  ///
  ///     let trainer = try Trainer(network, loss: .crossEntropy, options: TrainerOptions(recordsTrace: true))
  ///     let (loss, layers) = try trainer.gradients(batch)
  ///
  /// `layers` has ∂L/∂W, ∂L/∂b, ∂L/∂γ and ∂L/∂β of each layer in place of the W, b, γ and β in
  /// ``Network/parameters(ofLayer:)``. A target scaling at the end has no gradients, and is not included.
  /// ``trace()`` also has z, a and δ.
  ///
  /// - Throws: The errors of ``step(_:)``; `ChainruleError.invalidArgument` for a trainer without
  ///   ``TrainerOptions/recordsTrace``.
  @discardableResult
  public func gradients(
    _ batch: Dataset<Scalar>
  ) throws(ChainruleError) -> (loss: Double, layers: [LayerParameters<Scalar>]) {
    guard options.recordsTrace else {
      throw .invalidArgument(
        message: "this trainer does not keep gradients; expected one with TrainerOptions(recordsTrace: true)")
    }
    let loss = try train(.gradients, on: batch)
    let layers = try trace().map { trace in
      LayerParameters(
        inputs: trace.inputs, units: trace.units, weights: trace.weightsGradient, bias: trace.biasGradient,
        gamma: trace.gammaGradient, beta: trace.betaGradient)
    }
    return (loss, layers)
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

  /// Trains on the next part of data that arrives in parts: updates on batches of `batchSize` rows, in the
  /// order of the rows. Parts of whole batches give the same bits as all their rows in one call. Returns the
  /// mean of the batches' losses, each before its update.
  ///
  /// - Throws: The errors of ``step(_:)``.
  @discardableResult
  public func partialFit(_ data: Dataset<Scalar>, batchSize: Int = 32) throws(ChainruleError) -> Double {
    try checkCount("batchSize", batchSize, atLeast: 1)
    return try core.exclusivity { () throws(ChainruleError) in
      try core.setBatchSize(batchSize)
      var (sum, weight) = (0.0, 0.0)
      for rows in blocks(of: batchSize, in: data.rows) {
        let share = data.sampleWeights.map { $0[rows].reduce(0) { $0 + Double($1) } } ?? Double(rows.count)
        sum += try core(.step, on: data, rows: rows) * share
        weight += share
        lastBatchRows = rows.count
      }
      return weight > 0 ? sum / weight : 0
    }
  }

  /// Performs the pending update of accumulated gradients, which come from fewer batches than
  /// ``TrainerOptions/accumulationSteps``. An epoch ends with this call.
  public func flush() throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.flush() }
  }

  /// Abandons an epoch that was stopped or cancelled before its end: it does not count, but its updates stay,
  /// and a pending update is performed. Without this call the next epoch resumes after the last batch, over
  /// the same rows in batches of the same size. If no epoch is in progress, this is ``flush()``.
  ///
  /// - Throws: `ChainruleError.notFinite`, `.busy`.
  public func abandonEpoch() throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.abandonEpoch() }
  }

  /// Trains for one epoch in the calling thread. Returns the mean of the batches' losses, each before its
  /// update.
  @discardableResult
  public func epoch(on data: Dataset<Scalar>, batchSize: Int = 32) throws(ChainruleError) -> Double {
    try core.exclusivity { () throws(ChainruleError) in
      try core.network.adoptMissingNames(of: data)
      try core.setBatchSize(batchSize)
      while true {
        do throws(ChainruleError) {
          return try core(.epoch, on: data)
        } catch .cancelled {
          // A late stop, meant for a cancelled task.
        }
      }
    }
  }

  /// Trains for one epoch over the batches of a source, in its order and in the calling thread. Returns the
  /// mean of the batches' losses, each before its update.
  ///
  /// The epoch counts as any other, also for the schedule. It gives the same bits as an epoch over the same
  /// rows in memory in the same order; ``TrainerOptions/shuffle`` has no effect. An epoch that ends with an
  /// error of the source does not count, and its updates stay.
  ///
  /// - Throws: The errors of ``step(_:)``, and those of the source. On `.notFinite` the network's parameters
  ///   are restored to those at the beginning of the epoch, and the optimizer's state is reset.
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
          // A late stop, meant for a cancelled task; it shows before the first batch.
        }
      }
    }
  }

  /// Trains for up to `count` epochs, one each time the loop requests the next, and reports each as it ends.
  ///
  /// The network adopts the names of the columns and classes if it has none; a model saved later includes
  /// them.
  ///
  /// - Parameters:
  ///   - count: The maximum number of epochs, at least 0.
  ///   - data: The training rows.
  ///   - batchSize: The number of rows of an update; the last update of an epoch may have fewer.
  ///   - validation: The validation rows, evaluated after every epoch.
  ///   - condition: Ends training after the epoch that meets it.
  ///   - patience: Ends training after this many epochs in a row whose validation loss (training loss without
  ///     a validation set) is not below the lowest so far, and restores the parameters of the lowest. They
  ///     are restored however the run ends: after the last epoch, by `onStep`, by an error or a cancellation,
  ///     and when `break` leaves the loop (or, without a loop, when the iterator is released; not while the
  ///     network is in use).
  ///   - checkpoints: The folder and interval of the run's checkpoints. The folder belongs to one run: see
  ///     ``Checkpoints``.
  ///   - checkpoint: The path of the checkpoint to resume from, as if training had never been interrupted:
  ///     `count` and `patience` count from the start of that run. The checkpoint replaces the present state
  ///     of the trainer and its network.
  ///   - run: Other decisions that affect the result, such as how the data were split. Checkpoints store it
  ///     with a description of the trainer, the batch size and the data. A run that differs from that of
  ///     `checkpoint` ends with `ChainruleError.differentRun`, which lists the differences; the trainer is
  ///     then unchanged. `count`, `condition`, `patience`, `checkpoints` and the number of threads may
  ///     differ.
  ///   - onStep: Called after each batch on the trainer's queue, which waits for it; it may not use the
  ///     trainer or its network. An error that it throws ends the run, as `ChainruleError.callbackFailed` if
  ///     it is of another type. If it returns `.stop`, training ends after this batch; a later epoch resumes
  ///     after the batch, or starts from the beginning after ``abandonEpoch()``.
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

  /// Trains for up to `count` epochs over the batches of a source, in its order; with the parameters of
  /// `epochs(…)` over a `Dataset`.
  ///
  /// When the task is cancelled, or `onStep` stops training, a later epoch resumes after the last batch, over
  /// the same source; ``abandonEpoch()`` prevents this.
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

  /// Returns the intermediate values of the last ``step(_:)`` or ``gradients(_:)``, layer by layer. A target
  /// scaling takes no part in a step, so the trace ends with the layer before it.
  ///
  /// - Throws: `ChainruleError.invalidArgument` before the first step, or for a trainer without
  ///   ``TrainerOptions/recordsTrace``.
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

  /// Writes everything that training needs to resume with the same bits: the network with its statistics, the
  /// optimizer's state, accumulated gradients, the schedule, and the position in the epoch. The file is also
  /// a model file. It replaces any file at `path`; after a crash that file is either the old one or the new
  /// one.
  ///
  /// - Throws: `ChainruleError.file` if the system refuses; an earlier file does not change then.
  ///   `.invalidNetwork` for a network with a ``CustomActivation``, `.notFinite`, `.busy`.
  public func saveCheckpoint(to path: String) throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.save(best: nil, note: nil, to: path) }
  }

  /// Restores the trainer and its network from a checkpoint of ``saveCheckpoint(to:)`` or of a run of epochs.
  /// The data, the batches and the trainer's settings must be those of the checkpoint's run; the learning
  /// rate is the saved one.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for a checkpoint of another network or optimizer, or of an
  ///   epoch in another order, `.invalidModel` for a file that is damaged or not a checkpoint, `.file`,
  ///   `.busy`. The trainer does not change then.
  public func restoreCheckpoint(from path: String) throws(ChainruleError) {
    _ = try core.exclusivity { () throws(ChainruleError) in try core.restore(from: path) }
  }

  /// Runs `body` on the trainer's queue with exclusive access to the network; cancelling the task stops it.
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

/// The intermediate values of one layer in a step, on a batch of `rows` rows.
public struct LayerTrace<Scalar: NetworkScalar>: Equatable, Sendable {
  /// The number of rows of the batch.
  public let rows: Int
  /// The size of the layer's input.
  public let inputs: Int
  /// The size of the layer's output: the number of neurons of a dense layer.
  public let units: Int
  /// z = W a + b, rows × units; for a normalisation (x - μ) / √(σ² + ε), for other kinds a
  public let z: [Scalar]
  /// a = f(z), rows × units
  public let a: [Scalar]
  /// δ = ∂L/∂z for a layer with an activation, else ∂L/∂a; rows × units
  public let delta: [Scalar]
  /// ∂L/∂W, units × inputs; empty for a layer without W
  public let weightsGradient: [Scalar]
  /// ∂L/∂b, one value per unit; `nil` for a layer without b
  public let biasGradient: [Scalar]?
  /// ∂L/∂γ, one value per unit; `nil` for a layer without γ
  public let gammaGradient: [Scalar]?
  /// ∂L/∂β, one value per unit; `nil` for a layer without β
  public let betaGradient: [Scalar]?
}
