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
  /// What else decides how it trains.
  public let options: TrainerOptions

  let core: CoreTrainer<Scalar>
  private let queue = DispatchQueue(label: "chainrule.trainer", qos: .userInitiated)
  /// What the arguments say that changes the result.
  let settings: RunDescription
  private var lastBatchRows = 0

  /// A trainer of `network`.
  ///
  /// - Throws: `ChainruleError.invalidNetwork` for a loss that does not fit the output layer, `.invalidArgument` and
  ///   `.invalidValue` for a number that is out of its range, `.outOfMemory`.
  public convenience init(
    _ network: Network<Scalar>, loss: Loss, optimizer: Optimizer = .adam(),
    options: TrainerOptions = TrainerOptions()
  ) throws(ChainruleError) {
    try self.init(network, either: loss, or: nil, optimizer: optimizer, options: options)
  }

  /// A trainer of `network` with a loss of your own.
  ///
  /// - Throws: As ``init(_:loss:optimizer:options:)-(_,Loss,_,_)``.
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

  /// The number of updates done.
  public var steps: Int { core.steps }
  /// The number of whole epochs done.
  public var completedEpochs: Int { core.epochs }

  /// The rate of the last update; before the first, and after ``setLearningRate(_:)``, that of the next.
  public var learningRate: Double { core.learningRate }

  /// Puts another η in the place of the optimizer's, for the updates to come. The schedule goes by it; with the
  /// constant one, any schedule of your own can be followed.
  ///
  /// - Throws: `ChainruleError.invalidArgument` for what is not a finite number of at least 0, `.busy`.
  public func setLearningRate(_ learningRate: Double) throws(ChainruleError) {
    try core.exclusivity { () throws(ChainruleError) in try core.setLearningRate(learningRate) }
  }

  /// Tells the schedule `plateau` the loss of the epoch that has ended; to others it is nothing. `epochs(…)` and
  /// `fit(…)` tell it themselves.
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

  /// L of `batch` and its gradients; no parameter changes.
  ///
  ///     let trainer = try Trainer(network, loss: .crossEntropy, options: TrainerOptions(recordsTrace: true))
  ///     let (loss, layers) = try trainer.gradients(batch)
  ///
  /// `layers` has ∂L/∂W, ∂L/∂b, ∂L/∂γ and ∂L/∂β of each layer where ``Network/parameters(ofLayer:)`` has W, b, γ and β. A
  /// target scaling at the end has none, and is not among them. ``trace()`` has z, a and δ, too.
  ///
  /// - Throws: As ``step(_:)``; `ChainruleError.invalidArgument` for a trainer without ``TrainerOptions/recordsTrace``.
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
      for rows in blocks(of: batchSize, in: data.rows) {
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
  /// in memory; ``TrainerOptions/shuffle`` has no say. An epoch that ends with an error of the source does not count, and its updates
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
  ///   - data: The rows to train on.
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
  ///     network. An error that it throws ends the run, as `ChainruleError.callbackFailed` if it is of another type.
  ///     By `.stop` training ends after this batch, and an epoch asked for later goes on behind it, or begins anew after
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

  /// Up to `count` epochs over the batches of a source, in its order; with the parameters of
  /// `epochs(…)` over a `Dataset`.
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
