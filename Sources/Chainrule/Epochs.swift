/// When training ends before the last epoch.
public enum StopCondition: Hashable, Sendable {
  /// After an epoch whose training loss is less than that.
  case loss(below: Double)
}

/// What is to become of training, as the program says that is called while it goes on.
public enum TrainingDecision: Hashable, Sendable {
  /// It goes on.
  case proceed
  /// It ends.
  case stop
}

/// What one batch of an epoch came to.
public struct TrainingStep: Hashable, Sendable {
  /// The updates done so far, from the trainer's first.
  public let number: Int
  /// The number of rows of the batch.
  public let rows: Int
  /// L of the batch, before its update.
  public let loss: Double
  /// Of the last update.
  public let learningRate: Double
}

/// The report of one epoch.
public struct Epoch: Sendable {
  /// Counted from 1, from the trainer's first.
  public let number: Int
  /// The mean of the batches' losses, each before its update.
  public let loss: Double
  /// The evaluation of the validation set after the epoch; nil where there is none.
  public let validation: Evaluation?
  /// Of the last update of the epoch.
  public let learningRate: Double
  /// Wall-clock time of the epoch and its validation, in seconds.
  public let seconds: Double
}

extension Epoch: CustomStringConvertible {
  /// One line: the number, the loss and the validation.
  public var description: String {
    let validated = validation.map { ", validation: \($0)" } ?? ""
    return "epoch \(number): loss \(significant(loss))\(validated)"
  }
}

/// The epochs of a training run; see ``Trainer/epochs(_:on:batchSize:validating:until:patience:onStep:)``.
public struct Epochs<Scalar: NetworkScalar>: AsyncSequence {
  /// The report of an epoch.
  public typealias Element = Epoch
  /// What ends training early.
  public typealias Failure = ChainruleError

  let trainer: Trainer<Scalar>
  let count: Int
  let data: any BatchSource<Scalar>
  let batchSize: Int
  let validation: (any BatchSource<Scalar>)?
  let condition: StopCondition?
  let patience: Int?
  let onStep: (@Sendable (TrainingStep) -> TrainingDecision)?

  /// Starts the run; several iterators train one after the other, the same network.
  public func makeAsyncIterator() -> Iterator { Iterator(run: self) }

  /// Trains an epoch each time it is asked for the next.
  public struct Iterator: AsyncIteratorProtocol {
    private let run: Epochs
    private var done = 0
    private var best: (loss: Double, parameters: [LayerParameters<Scalar>])?
    private var epochsSinceBest = 0
    private var ended = false

    init(run: Epochs) { self.run = run }

    /// Trains the next epoch; nil after the last.
    ///
    /// - Throws: what ``Trainer/step(_:)`` throws, and `ChainruleError.cancelled` when the task is cancelled.
    public mutating func next(
      isolation actor: isolated (any Actor)? = #isolation
    ) async throws(ChainruleError) -> Epoch? {
      guard !ended, done < run.count else {
        try await takeBestBack(isolation: actor)
        return nil
      }
      try checkArguments()
      let clock = ContinuousClock()
      let start = clock.now
      guard let loss = try await trainEpoch(isolation: actor) else {
        try await takeBestBack(isolation: actor)
        return nil
      }
      let validation = try await validate(isolation: actor)
      done += 1
      let learningRate = run.trainer.learningRate
      try await observe(validation?.loss ?? loss, isolation: actor)
      try await judge(validation?.loss ?? loss, isolation: actor)
      if case .loss(let bound) = run.condition, loss < bound { ended = true }
      return Epoch(
        number: run.trainer.epochs, loss: loss, validation: validation,
        learningRate: learningRate, seconds: (clock.now - start) / .seconds(1))
    }

    /// As ``next(isolation:)``, from no actor.
    public mutating func next() async throws(ChainruleError) -> Epoch? { try await next(isolation: nil) }

    private func checkArguments() throws(ChainruleError) {
      guard run.batchSize >= 1 else {
        throw .invalidValue(name: "batchSize", value: "\(run.batchSize)", expected: "at least 1")
      }
      guard run.patience ?? 1 >= 1 else {
        throw .invalidValue(name: "patience", value: "\(run.patience!)", expected: "at least 1")
      }
    }

    /// The loss of the next epoch; nil where `onStep` stopped it before its end.
    private mutating func trainEpoch(isolation: isolated (any Actor)?) async throws(ChainruleError) -> Double?
    {
      let (data, batchSize) = (run.data, run.batchSize)
      let observer = run.onStep.map(StepObserver.init)
      defer { ended = ended || observer?.hasStopped ?? false }
      while true {
        if Task.isCancelled { throw .cancelled }
        do throws(ChainruleError) {
          return try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
            try core.telling(observer) { () throws(ChainruleError) in
              guard let data = data as? Dataset<Scalar> else {
                return try core.epoch(from: data, batchSize: batchSize) { _ in }
              }
              try core.setBatchSize(batchSize)
              return try core(.epoch, on: data)
            }
          }
        } catch .cancelled where !Task.isCancelled {
          if observer?.hasStopped == true { return nil }
          // The stop was meant for an earlier task; this epoch goes on where it was stopped.
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
          loss: try function.value(outputs: outputs, data: validation), outputs: outputs, dataset: validation)
      }
    }

    /// Tells a plateau how the epoch went.
    private func observe(_ loss: Double, isolation: isolated (any Actor)?) async throws(ChainruleError) {
      guard case .plateau = run.trainer.schedule.rule else { return }
      try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
        try core.observe(loss)
      }
    }

    /// Remembers the best parameters and counts the epochs since.
    private mutating func judge(
      _ loss: Double, isolation: isolated (any Actor)?
    ) async throws(ChainruleError) {
      guard let patience = run.patience else { return }
      if best.map({ loss < $0.loss }) ?? true {
        let layers = run.trainer.network.layers.indices
        let parameters = try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
          var all: [LayerParameters<Scalar>] = []
          for layer in layers { all.append(try core.network.parameters(ofLayer: layer)) }
          return all
        }
        best = (loss, parameters)
        epochsSinceBest = 0
      } else {
        epochsSinceBest += 1
        ended = ended || epochsSinceBest >= patience
      }
    }

    private mutating func takeBestBack(isolation: isolated (any Actor)?) async throws(ChainruleError) {
      guard let parameters = best?.parameters else { return }
      best = nil
      try await run.trainer.onQueue(isolation: isolation) { core throws(ChainruleError) in
        for (layer, values) in parameters.enumerated() {
          try core.network.setParameters(values, ofLayer: layer)
        }
      }
    }
  }
}
