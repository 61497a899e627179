/// The epochs of a training run, as `Trainer.fit` returns them.
public struct History: Equatable, Codable, Sendable {
  /// The reports of the epochs, in order, without an epoch that `onStep` stopped before its end.
  public let epochs: [Epoch]

  /// The report of the last epoch; `nil` if there was none.
  public var last: Epoch? { epochs.last }

  /// The report of the epoch with the lowest validation loss, or training loss if there is no validation; the
  /// first of several. `nil` if there was no epoch.
  public var best: Epoch? { epochs.min { $0.judgedLoss < $1.judgedLoss } }
}

extension Epoch {
  /// The loss by which patience and a history judge: the validation loss, or the training loss if there is no
  /// validation.
  var judgedLoss: Double { validation?.loss ?? loss }
}

extension Trainer {
  /// Trains for up to `count` epochs, and returns the report of each.
  ///
  ///     let history = try await trainer.fit(train, epochs: 100, validating: test, patience: 10)
  ///     print(history.best?.validation?.accuracy ?? .nan)
  ///
  /// The parameters are those of `epochs`, which reports each epoch as it ends. With `patience` the network
  /// ends with the parameters of the lowest loss.
  ///
  /// - Throws: The errors of ``step(_:)``, `ChainruleError.cancelled` when the task is cancelled, and `.file`
  ///   if a checkpoint cannot be written.
  @discardableResult
  public func fit(
    _ data: Dataset<Scalar>, epochs count: Int, batchSize: Int = 32,
    validating validation: Dataset<Scalar>? = nil,
    until condition: StopCondition? = nil, patience: Int? = nil,
    checkpoints: Checkpoints? = nil, resuming checkpoint: String? = nil, run: RunDescription = [:],
    isolation: isolated (any Actor)? = #isolation,
    onStep: (@Sendable (TrainingStep) throws -> TrainingDecision)? = nil
  ) async throws(ChainruleError) -> History {
    try await epochs(
      count, on: data, batchSize: batchSize, validating: validation, until: condition, patience: patience,
      checkpoints: checkpoints, resuming: checkpoint, run: run, onStep: onStep
    ).history(isolation: isolation)
  }

  /// Trains for up to `count` epochs over the batches of a source, in its order, and returns the report of
  /// each.
  @discardableResult
  public func fit(
    _ source: some BatchSource<Scalar>, epochs count: Int, batchSize: Int = 32,
    validating validation: (any BatchSource<Scalar>)? = nil,
    until condition: StopCondition? = nil, patience: Int? = nil,
    checkpoints: Checkpoints? = nil, resuming checkpoint: String? = nil, run: RunDescription = [:],
    isolation: isolated (any Actor)? = #isolation,
    onStep: (@Sendable (TrainingStep) throws -> TrainingDecision)? = nil
  ) async throws(ChainruleError) -> History {
    try await epochs(
      count, on: source, batchSize: batchSize, validating: validation, until: condition, patience: patience,
      checkpoints: checkpoints, resuming: checkpoint, run: run, onStep: onStep
    ).history(isolation: isolation)
  }
}

extension Epochs {
  /// Trains all epochs.
  fileprivate func history(isolation: isolated (any Actor)?) async throws(ChainruleError) -> History {
    var epochs: [Epoch] = []
    var iterator = makeAsyncIterator()
    while let epoch = try await iterator.next(isolation: isolation) { epochs.append(epoch) }
    return History(epochs: epochs)
  }
}
