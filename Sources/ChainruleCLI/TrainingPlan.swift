import ArgumentParser
import Chainrule
import Synchronization

/// A training run as the options and the data make it.
struct TrainingPlan<Scalar: NetworkScalar>: Sendable {
  /// All rows: those trained on and those held out of them; of rows that are streamed the first.
  let data: Dataset<Scalar>
  let trained: any BatchSource<Scalar>
  let heldOut: (any BatchSource<Scalar>)?
  /// The number of streamed rows held in memory; nil if all rows are in memory.
  let buffer: Int?
  let encoding: TableEncoding?
  /// The network that training starts from; nil: a random network of the recipe.
  let start: Model<Scalar>?
  let recipe: TrainingRecipe
  let design: NetworkDesign
  let schedule: Schedule
  let regularization: Regularization
  let training: TrainingArguments
  let fullBatch: FullBatchArguments
  let checkpoints: CheckpointArguments
  /// Training ends after this many epochs without a lower loss; nil: no early stopping.
  let patience: Int?
  /// The options that change the result, for checkpoints.
  let description: RunDescription
  var loss: Loss { design.loss }
  /// The regularization that the options ask for, in words.
  private let regularizing: [String]

  init(
    data: TrainingData<Scalar>, trained: any BatchSource<Scalar>, heldOut: (any BatchSource<Scalar>)?,
    buffer: Int?, start: Model<Scalar>?, preset: Preset,
    network: NetworkArguments, training: TrainingArguments, optimizer: OptimizerArguments,
    regularization: RegularizationArguments,
    schedule: ScheduleArguments, fullBatch: FullBatchArguments, checkpoints: CheckpointArguments,
    description: RunDescription
  ) throws {
    self.data = data.rows
    encoding = data.encoding.flatMap { $0.features.isPlain && $0.targets.kind != .labels ? nil : $0 }
    self.trained = trained
    self.heldOut = heldOut
    self.buffer = buffer
    self.start = start
    self.training = training
    self.fullBatch = fullBatch
    self.checkpoints = checkpoints
    self.description = description
    var recipe =
      if preset == .plain {
        TrainingRecipe.plain
      } else if fullBatch.method != nil {
        TrainingRecipe.fullBatch
      } else {
        TrainingRecipe.recommended(forRows: trained.rowCount ?? 1 << 20)
      }
    try network.apply(to: &recipe)
    training.apply(to: &recipe)
    try optimizer.apply(to: &recipe)
    self.recipe = recipe
    patience = training.patience ?? (heldOut == nil ? nil : recipe.patience)
    self.schedule = try schedule.schedule(epochs: recipe.epochs)
    let output =
      network.outputActivation
      ?? (training.loss == .hinge ? .identity : data.usualOutput(isAll: buffer == nil))
    let areClasses = self.data.classLabels != nil
    if network.scaleTargets == true,
      !NetworkDesign.mayScaleTargets(
        output, training.loss ?? Loss.default(for: output), areClasses: areClasses)
    {
      throw ValidationError(
        "--scale-targets is for a regression with an identity output; this one predicts "
          + (areClasses ? "classes" : "with \(output.rawValue)"))
    }
    design =
      if let start {
        try NetworkDesign(of: start, loss: training.loss)
      } else {
        try recipe.design(
          for: trained, output: output, loss: training.loss, areNumbers: data.areNumbers,
          areClasses: areClasses)
      }
    self.regularization = try regularization.regularization(with: design.loss)
    regularizing = optimizer.regularization + regularization.summary
  }

  private func network() throws -> Network<Scalar> {
    try refusingOptions {
      let network =
        if let start {
          try Network(start)
        } else {
          try design.network(like: data, seed: training.seed)
        }
      if let encoding { try network.setTableEncoding(encoding) }
      return network
    }
  }

  /// Runs `body` and reports its errors about the options as wrong usage.
  private func refusingOptions<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as ChainruleError {
      switch error {
      case .invalidNetwork, .invalidArgument: throw ValidationError("\(error)")
      default: throw error
      }
    }
  }

  func progress(isQuiet: Bool, prefix: String = "") -> Progress {
    let (unit, total) =
      fullBatch.method == nil ? ("epoch", recipe.epochs) : ("iteration", fullBatch.iterationBound)
    return Progress(unit, of: total, isQuiet: isQuiet, prefix: prefix)
  }

  /// Trains until the plan, or a cancellation of the task, ends it. `fold` is that of a cross-validation,
  /// counted from 1, for the log.
  ///
  /// - Throws: `ValidationError`, before anything is trained or written, where the options make no network.
  func run(showing progress: Progress, logTo path: String?, fold: Int? = nil) async throws
    -> TrainingResult<Scalar>
  {
    let network = try network()
    if let method = fullBatch.methodWithNumbers {
      return try await fit(network, by: method, showing: progress, logTo: path, fold: fold)
    }
    let trainer = try refusingOptions {
      try Trainer(
        network, loss: loss, optimizer: recipe.optimizer,
        options: TrainerOptions(
          schedule: schedule, regularization: regularization, accumulationSteps: training.accumulate,
          layerRates: design.layerRates, seed: training.seed, threads: training.threads))
    }
    let resumed = try checkpoints.resumed()
    var log = try path.map { try RunLog(path: $0, fold: fold, resumes: resumed != nil) }
    var progress = progress
    var (last, best): (Epoch?, Epoch?)
    var failure, logFailure: Failure?
    let clock = ContinuousClock()
    let start = clock.now
    defer { progress.end() }
    let epochs = trainer.epochs(
      recipe.epochs, on: try shuffled(trained), batchSize: recipe.batchSize, validating: heldOut,
      until: training.untilLoss.map { .loss(below: $0) }, patience: patience,
      checkpoints: checkpoints.checkpoints, resuming: resumed, run: description)
    do {
      for try await epoch in epochs {
        last = epoch
        if score(epoch) < best.map(score) ?? .infinity { best = epoch }
        progress.show(epoch)
        if logFailure == nil {
          logFailure = loggingFailure { () throws(ChainruleError) in try log?.write(epoch) }
        }
        if let failure = epoch.checkpointFailure {
          Output.say("\(failure); training continues without this checkpoint")
        }
      }
      if last == nil {
        logFailure = loggingFailure { () throws(ChainruleError) in
          try log?.end(after: trainer.completedEpochs)
        }
      }
    } catch {
      switch error {
      // The parameters are the best, with patience, or those after the last whole batch.
      case .cancelled: break
      case .notFinite:
        failure = Failure(
          message: "training diverged in epoch \((last?.number ?? trainer.completedEpochs) + 1): \(error)"
            + kept(last, best: best), exitCode: .failure)
      default:
        failure = Failure(error)
        // Training shuffles the rows; the error of an evaluation gives the place of a bad row in the data.
        if last == nil, buffer == nil { _ = try network.evaluate(data, loss: loss) }
      }
      if trainer.completedEpochs == 0, let failure { throw failure }
    }
    return TrainingResult(
      model: try Model(network), completed: trainer.completedEpochs,
      effort: counted(trainer.completedEpochs, "epoch"),
      loss: last?.loss, seconds: (clock.now - start) / .seconds(1), isInterrupted: Task.isCancelled,
      failure: failure ?? logFailure,
      reason: last.map(reason) ?? (resumed == nil ? "" : "; the checkpoint is of a run that had ended"))
  }

  /// The loss by which patience chooses the best epoch.
  private func score(_ epoch: Epoch) -> Double { epoch.validation?.loss ?? epoch.loss }

  /// Which model is left after a divergence.
  private func kept(_ last: Epoch?, best: Epoch?) -> String {
    guard let last else { return "" }
    guard patience != nil, let best else { return ". The model is that of epoch \(last.number)" }
    return ". The model is the best one, that of epoch \(best.number)"
  }

  /// Streamed rows in random order; those in memory are shuffled by the trainer.
  private func shuffled(_ rows: some BatchSource<Scalar>) throws -> any BatchSource<Scalar> {
    guard let buffer, buffer > 1 else { return rows }
    return try rows.shuffled(buffer: buffer, seed: training.seed)
  }

  /// On the rows held out, or else on all.
  func evaluate(_ model: Model<Scalar>) throws(ChainruleError) -> Evaluation {
    let rows = heldOut ?? (buffer == nil ? data : trained)
    guard let rows = rows as? Dataset<Scalar> else { return try model.evaluate(rows, loss: loss) }
    return try model.evaluate(rows, loss: loss)
  }

  /// Why training ended with that epoch; empty if it is the last epoch.
  private func reason(_ last: Epoch) -> String {
    if let bound = training.untilLoss, last.loss < bound { return ", below \(short(bound))" }
    guard last.number < recipe.epochs, let patience else { return "" }
    return "; no lower \(heldOut == nil ? "training" : "validation") loss in \(counted(patience, "epoch")), "
      + "so back to the lowest"
  }

  /// As ``run(showing:logTo:fold:)``, on all rows at once.
  private func fit(
    _ network: Network<Scalar>, by method: FullBatchMethod, showing progress: Progress, logTo path: String?,
    fold: Int?
  ) async throws -> TrainingResult<Scalar> {
    // Evaluate first: an error in the data gives its row. A later refusal is about the options.
    let before: Double
    do throws(ChainruleError) {
      before = try network.evaluate(data, loss: loss).loss
    } catch {
      guard case .invalidNetwork(_, let reason) = error else { throw error }
      throw ValidationError(reason)
    }
    let (clock, bound) = (ContinuousClock(), training.untilLoss)
    let start = clock.now
    let log = try path.map { try RunLog(path: $0, fold: fold) }
    let run = Mutex(FullBatchRun(progress: progress, log: log, loss: before, last: start))
    defer { run.withLock { $0.progress.end() } }
    do {
      let minimum = try await network.minimize(
        trained as? Dataset ?? data, loss: loss, method: method, iterations: fullBatch.iterationBound,
        tolerances: fullBatch.tolerances
      ) { iteration, loss in
        run.withLock { run in
          run.report(iteration, loss: loss, at: clock.now)
          return loss < bound ?? -.infinity ? .stop : .proceed
        }
      }
      let reason =
        minimum.ending == .stopped ? ", below \(short(bound ?? 0))" : minimum.ending.reason
      return try result(iterations: minimum.iterations, loss: minimum.loss, reason: reason)
    } catch let error as ChainruleError {
      switch error {
      case .cancelled:
        let (iterations, loss) = run.withLock { ($0.iterations, $0.loss) }
        return try result(iterations: iterations, loss: loss, isInterrupted: true)
      case .invalidArgument: throw ValidationError("--full-batch: \(error)")
      case .outOfMemory:
        throw Failure(
          message: "\(error); a larger --memory allows it, and lbfgs takes less", exitCode: .failure)
      default: throw error
      }
    }

    func result(
      iterations: Int, loss: Double, reason: String = "", isInterrupted: Bool = false
    ) throws -> TrainingResult<Scalar> {
      TrainingResult(
        model: try Model(network), completed: iterations, effort: counted(iterations, "iteration"),
        loss: loss,
        seconds: (clock.now - start) / .seconds(1), isInterrupted: isInterrupted,
        failure: run.withLock(\.failure), reason: reason)
    }
  }
}

/// Writes to the log; where that fails, training continues without it, and the command fails once the model
/// is saved.
private func loggingFailure(_ write: () throws(ChainruleError) -> Void) -> Failure? {
  do throws(ChainruleError) {
    try write()
    return nil
  } catch {
    Output.say("\(error); training continues without the log")
    return Failure(message: "the log is incomplete: \(error)", exitCode: .failure)
  }
}

/// The state of a run on all rows at once.
private struct FullBatchRun {
  var progress: Progress
  var log: RunLog?
  var iterations = 0
  var loss: Double
  /// When the last iteration ended.
  var last: ContinuousClock.Instant
  /// The first error of the log.
  var failure: Failure?

  init(progress: Progress, log: RunLog?, loss: Double, last: ContinuousClock.Instant) {
    self.progress = progress
    self.log = log
    self.loss = loss
    self.last = last
  }

  mutating func report(_ iteration: Int, loss: Double, at now: ContinuousClock.Instant) {
    let seconds = (now - last) / .seconds(1)
    (iterations, self.loss, last) = (iteration, loss, now)
    progress.show(iteration, loss: loss, seconds: seconds)
    guard failure == nil else { return }
    failure = loggingFailure { () throws(ChainruleError) in
      try log?.write(iteration: iteration, loss: loss, seconds: seconds)
    }
  }
}

/// A trained network, and how training went.
struct TrainingResult<Scalar: NetworkScalar>: Sendable {
  let model: Model<Scalar>
  /// The number of whole epochs or iterations, since the start of the run that was resumed.
  let completed: Int
  /// "50 epochs", those that are whole, or "120 iterations"
  let effort: String
  /// The loss of the last epoch or iteration; nil if this run had none.
  let loss: Double?
  let seconds: Double
  let isInterrupted: Bool
  /// Why the command fails although there is a model.
  let failure: Failure?
  /// Why training ended early, after the figures; empty if it ran all epochs.
  let reason: String

  /// How long it took, and what ended it.
  var summary: (name: String, value: String) {
    (
      "result",
      "\(effort) in \(duration(seconds))\(loss.map { ", training loss \(short($0))" } ?? "")\(reason)"
    )
  }
}

extension TrainingData {
  /// Softmax for classes; identity for numbers; sigmoid for labels, and for a single target of 0 and 1 where
  /// these are all rows and nobody says that they are numbers.
  fileprivate func usualOutput(isAll: Bool) -> Activation {
    if let encoding { return encoding.targets.outputActivation }
    if rows.classLabels != nil { return .softmax }
    switch task {
    case .regression: return .identity
    case .multilabel: return .sigmoid
    case .automatic, .classification:
      return isAll && rows.outputs == 1 && rows.targets.allSatisfy { $0 == 0 || $0 == 1 }
        ? .sigmoid : .identity
    }
  }
}

// MARK: - In words

extension TrainingPlan {
  /// "cosine behind 5 epochs of warm-up, ", or nothing where the rate stays as it is
  private var scheduling: String {
    let warmUp =
      schedule.warmUp > 0 ? ["behind \(counted(schedule.warmUp, "epoch")) of warm-up"] : []
    let words = (schedule.rule == .constant ? [] : [schedule.name]) + warmUp
    return words.isEmpty ? "" : words.joined(separator: " ") + ", "
  }

  /// "; L1 0.001, updates of 4 batches", or nothing.
  private var extras: String {
    let updates = training.accumulate > 1 ? ["updates of \(training.accumulate) batches"] : []
    let words = regularizing + updates + (training.classWeights.map { ["\($0)"] } ?? [])
    return words.isEmpty ? "" : "; " + words.joined(separator: ", ")
  }

  /// The data, the network and the training in words. `heldOut` describes the validation rows.
  func summary(heldOut: String? = nil) -> [(name: String, value: String)] {
    let targets = data.classLabels.map { "\($0.count) classes" } ?? counted(data.outputs, "output")
    let units =
      (design.fixed.map(\.layer) + design.layers).map(\.description)
      + (design.targetScaling == nil ? [] : ["targets scaled"])
    let count = buffer == nil ? data.rows : trained.rowCount
    let rows = (count.map { counted($0, "row") } ?? "rows") + (buffer == nil ? "" : " read batch by batch")
    let usual = self.heldOut.map { $0.rowCount.map(String.init) ?? "others" } ?? "none"
    return [
      ("data", "\(rows), \(counted(data.inputs, "input")), \(targets); \(heldOut ?? "\(usual) held out")"),
      ("network", "\(data.inputs) → \(units.joined(separator: " → ")), \(Scalar.scalarType.rawValue)"),
      ("training", "\(loss.rawValue), \(method), seed \(training.seed)\(extras)"),
    ]
  }

  private var method: String {
    if let method = fullBatch.method {
      return "\(method.name), at most \(counted(fullBatch.iterationBound, "iteration"))"
    }
    return
      "\(recipe.optimizer.name) at \(short(recipe.optimizer.learningRate)), \(scheduling)batches of \(recipe.batchSize)"
  }
}
