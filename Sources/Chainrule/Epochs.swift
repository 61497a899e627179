import Synchronization

/// A condition that ends training before the last epoch.
public enum StopCondition: Hashable, Sendable {
  /// Ends after an epoch with a training loss below this.
  case loss(below: Double)
}

/// The action a callback returns: continue training or stop.
public enum TrainingDecision: Hashable, Sendable {
  /// Continue.
  case proceed
  /// Stop after the current batch.
  case stop
}

/// The report of one batch.
public struct TrainingStep: Hashable, Codable, Sendable {
  /// The number of updates since the trainer was created.
  public let number: Int
  /// The number of rows of the batch.
  public let rows: Int
  /// L of the batch, before its update.
  @Figure public private(set) var loss: Double
  /// The learning rate of the last update.
  @Figure public private(set) var learningRate: Double
}

/// The report of one epoch.
public struct Epoch: Equatable, Codable, Sendable {
  /// The number of the epoch since the trainer was created, counted from 1.
  public let number: Int
  /// The mean of the batches' losses, each before its update.
  @Figure public private(set) var loss: Double
  /// The evaluation of the validation set after the epoch; `nil` without a validation set.
  public let validation: Evaluation?
  /// The learning rate of the last update of the epoch.
  @Figure public private(set) var learningRate: Double
  /// Wall-clock time of the epoch, its validation and its checkpoint, in seconds.
  @Figure public private(set) var seconds: Double
  /// The error if a checkpoint of this epoch could not be written; otherwise `nil`.
  public let checkpointFailure: ChainruleError?
}

extension Epoch: CustomStringConvertible {
  /// One line: the number, the loss and the validation.
  public var description: String {
    let validated = validation.map { ", validation: \($0)" } ?? ""
    return "epoch \(number): loss \(significant(loss))\(validated)"
  }
}

/// The epochs of a training run, created by `epochs(…)` of a ``Trainer``.
public struct Epochs<Scalar: NetworkScalar>: AsyncSequence {
  /// The report of an epoch.
  public typealias Element = Epoch
  /// The error that ends training early.
  public typealias Failure = ChainruleError

  let trainer: Trainer<Scalar>
  let count: Int
  let data: any BatchSource<Scalar>
  let batchSize: Int
  let validation: (any BatchSource<Scalar>)?
  let condition: StopCondition?
  let patience: Int?
  let checkpoints: Checkpoints?
  let resumed: String?
  let description: RunDescription
  let onStep: (@Sendable (TrainingStep) throws -> TrainingDecision)?
  fileprivate let found = BestOfRun<Scalar>()

  /// The network after the epoch with the lowest loss so far, by which the run's patience judges. `nil`
  /// before the first epoch, and without patience. It is available at any time: within the loop, and after
  /// it, however it ends.
  public var best: Model<Scalar>? {
    patience == nil ? nil : found.value.map { Model(core: $0.network) }
  }

  /// Starts the run. Several iterators train the same network one after the other.
  public func makeAsyncIterator() -> Iterator { Iterator(run: self) }

  /// Trains one epoch for each call of `next`.
  public struct Iterator: AsyncIteratorProtocol {
    private let run: Epochs
    private var state: RunState<Scalar>
    private let restoration: Restoration<Scalar>
    private var lock: FolderLock?
    private var hasBegun = false
    private var ended = false

    init(run: Epochs) {
      self.run = run
      state = RunState(best: run.found)
      restoration = Restoration(of: run.trainer.core)
    }

    /// Trains the next epoch; returns `nil` after the last.
    ///
    /// - Throws: The errors of ``Trainer/step(_:)``, `ChainruleError.cancelled` when the task is cancelled,
    ///   and `.file` if a checkpoint cannot be written. With patience, the best parameters are also restored
    ///   then.
    public mutating func next(
      isolation actor: isolated (any Actor)? = #isolation
    ) async throws(ChainruleError) -> Epoch? {
      if !hasBegun { try await begin(isolation: actor) }
      do throws(ChainruleError) {
        guard !ended, state.done < run.count, let epoch = try await trainNext(isolation: actor) else {
          try await finish(isolation: actor)
          return nil
        }
        return epoch
      } catch {
        try? await finish(isolation: actor)
        throw error
      }
    }

    /// Restores the best parameters and releases the folder of checkpoints.
    private mutating func finish(isolation: isolated (any Actor)?) async throws(ChainruleError) {
      ended = true
      lock = nil
      if let network = restoration.best?.value?.network {
        try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
          try core.network.setParameters(of: network)
        }
      }
      restoration.best = nil
    }

    /// Trains an epoch; returns `nil` if `onStep` stopped it before its end.
    private mutating func trainNext(
      isolation actor: isolated (any Actor)?
    ) async throws(ChainruleError) -> Epoch? {
      let clock = ContinuousClock()
      let start = clock.now
      let writer = run.checkpoints.map { CheckpointWriter($0, of: run.trainer.core, in: state) }
      guard let loss = try await trainEpoch(writer, isolation: actor) else {
        if let checkpoints = run.checkpoints { _ = try await save(checkpoints, isolation: actor) }
        return nil
      }
      let validation = try await validate(isolation: actor)
      state.done += 1
      state.lastLoss = loss
      let learningRate = run.trainer.learningRate
      try await observe(validation?.loss ?? loss, isolation: actor)
      try await judge(validation?.loss ?? loss, isolation: actor)
      ended = ended || isAtEnd
      let failure = try await saveIfDue(isolation: actor) ?? writer?.failure
      return Epoch(
        number: run.trainer.completedEpochs, loss: loss, validation: validation,
        learningRate: learningRate, seconds: (clock.now - start) / .seconds(1), checkpointFailure: failure)
    }

    /// Checks the arguments, and resumes from a checkpoint if there is one.
    private mutating func begin(isolation: isolated (any Actor)?) async throws(ChainruleError) {
      try checkCount("the number of epochs", run.count, atLeast: 0)
      try checkCount("batchSize", run.batchSize, atLeast: 1)
      if let patience = run.patience { try checkCount("patience", patience, atLeast: 1) }
      try run.checkpoints?.check()
      let lock = try run.checkpoints?.prepare(resuming: run.resumed)
      if run.checkpoints != nil || run.resumed != nil { state.description = try describe() }
      run.found.value = nil  // of an earlier iterator
      if let path = run.resumed {
        let begun = state
        state = try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
          try RunState(restoring: core, from: path, as: begun)
        }
        ended = isAtEnd
      }
      if run.patience != nil { restoration.best = run.found }
      if let data = run.data as? Dataset<Scalar> {
        try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
          try core.network.adoptMissingNames(of: data)
        }
      }
      self.lock = lock
      hasBegun = true
    }

    /// Describes the trainer, the data, and the caller's entries.
    private func describe() throws(ChainruleError) -> RunDescription {
      var description = run.trainer.settings
      try description.add(
        run.trainer.network, batchSize: run.batchSize, data: run.data, validation: run.validation)
      description.append(run.description)
      return description
    }

    /// Whether the last epoch met the condition or used up the patience.
    private var isAtEnd: Bool {
      if case .loss(let bound) = run.condition, let loss = state.lastLoss, loss < bound { return true }
      return run.patience.map { state.epochsSinceBest >= $0 } ?? false
    }

    /// Saves a checkpoint between two epochs if one is due. Returns the error if it failed and training
    /// continues.
    private func saveIfDue(isolation: isolated (any Actor)?) async throws(ChainruleError) -> ChainruleError? {
      guard let checkpoints = run.checkpoints else { return nil }
      let isDue =
        switch checkpoints.interval {
        case .epochs(let count): state.done % count == 0
        case .steps: false
        }
      guard isDue || ended || state.done >= run.count else { return nil }
      return try await save(checkpoints, isolation: isolation)
    }

    /// Saves a checkpoint. Returns the error if it failed and training continues.
    private func save(
      _ checkpoints: Checkpoints, isolation: isolated (any Actor)?
    ) async throws(ChainruleError) -> ChainruleError? {
      let state = state
      do throws(ChainruleError) {
        try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
          try checkpoints.write(state, of: core)
        }
        return nil
      } catch  where checkpoints.continuesOnFailure {
        return error
      }
    }

    /// Trains the next epoch and returns its loss; `nil` if `onStep` stopped it before its end.
    private mutating func trainEpoch(
      _ writer: CheckpointWriter<Scalar>?, isolation: isolated (any Actor)?
    ) async throws(ChainruleError) -> Double? {
      let (data, batchSize, onStep) = (run.data, run.batchSize, run.onStep)
      var observer: StepObserver?
      if onStep != nil || writer != nil {
        observer = StepObserver { step in
          let goesOn = writer?.batchEnded(steps: step.number) ?? true
          return (try onStep?(step) ?? .proceed) == .proceed && goesOn ? .proceed : .stop
        }
      }
      defer { ended = ended || observer?.hasStopped ?? false }
      while true {
        do throws(ChainruleError) {
          if Task.isCancelled { throw .cancelled }
          let loss = try await run.trainer.onQueue(isolation: isolation) {
            [observer] core throws(ChainruleError) in
            try core.telling(observer) { () throws(ChainruleError) in
              guard let data = data as? Dataset<Scalar> else {
                return try core.epoch(from: data, batchSize: batchSize) { _ in }
              }
              try core.setBatchSize(batchSize)
              return try core(.epoch, on: data)
            }
          }
          if let failure = observer?.failure { throw failure }
          if let failure = writer?.failure, run.checkpoints?.continuesOnFailure == false { throw failure }
          return loss
        } catch {
          guard case .cancelled = error else { throw error }
          if let failure = writer?.failure, run.checkpoints?.continuesOnFailure == false { throw failure }
          if Task.isCancelled {
            if let checkpoints = run.checkpoints { _ = try await save(checkpoints, isolation: isolation) }
            throw error
          }
          if let failure = observer?.failure { throw failure }
          if observer?.hasStopped == true { return nil }
          // The stop was meant for an earlier task; this epoch resumes where it stopped.
        }
      }
    }

    private func validate(isolation: isolated (any Actor)?) async throws(ChainruleError) -> Evaluation? {
      guard let validation = run.validation else { return nil }
      let (loss, function) = (run.trainer.loss, run.trainer.lossFunction)
      return try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
        guard let validation = validation as? Dataset<Scalar> else {
          return try core.network.evaluate(validation, loss: loss, function: function)
        }
        guard let function else { return try core.network.evaluate(validation, loss: loss) }
        try core.network.checkFits(validation)
        let outputs = try core.network.predict(validation.features)
        return try Evaluation(
          loss: try core.network.value(of: function, outputs: outputs, data: validation), outputs: outputs,
          dataset: validation, activation: core.network.outputActivation)
      }
    }

    /// Reports the loss of the epoch to a plateau schedule.
    private func observe(_ loss: Double, isolation: isolated (any Actor)?) async throws(ChainruleError) {
      guard case .plateau = run.trainer.options.schedule.rule else { return }
      try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
        try core.observe(loss)
      }
    }

    /// Stores the best parameters and counts the epochs since.
    private mutating func judge(
      _ loss: Double, isolation: isolated (any Actor)?
    ) async throws(ChainruleError) {
      guard run.patience != nil else { return }
      if state.best.value.map({ loss < $0.loss }) ?? true {
        let network = try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
          try core.network.copy()
        }
        state.best.value = (loss, network)
        state.epochsSinceBest = 0
      } else {
        state.epochsSinceBest += 1
      }
    }
  }
}

/// The lowest loss of a run with patience, and its network. Checkpoints, the caller during training, and the
/// restoration at the end of the run all use this one copy.
final class BestOfRun<Scalar: NetworkScalar>: Sendable {
  private let held = Mutex<(loss: Double, network: CoreNetwork<Scalar>)?>(nil)

  var value: (loss: Double, network: CoreNetwork<Scalar>)? {
    get { held.withLock { $0 } }
    set { held.withLock { $0 = newValue } }
  }
}

/// Restores the best parameters when the iterator of a run with patience is released early, for example by a
/// loop that `break` leaves.
private final class Restoration<Scalar: NetworkScalar> {
  private let trainer: CoreTrainer<Scalar>
  /// `nil` without patience, and after they have been restored.
  var best: BestOfRun<Scalar>?

  init(of trainer: CoreTrainer<Scalar>) { self.trainer = trainer }

  deinit {
    guard let network = best?.value?.network else { return }
    // A network that another call is training at this moment belongs to that call.
    try? trainer.exclusivity { () throws(ChainruleError) in try trainer.network.setParameters(of: network) }
  }
}
