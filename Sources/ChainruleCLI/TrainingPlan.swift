import ArgumentParser
import Chainrule

/// A training run as the options and the data make it.
struct TrainingPlan<Scalar: NetworkScalar>: Sendable {
  /// All rows: those trained on and those held out.
  let data: Dataset<Scalar>
  let trained: Dataset<Scalar>
  let heldOut: Dataset<Scalar>?
  let layers: [Layer]
  let loss: Loss
  let optimizer: Optimizer
  let schedule: Schedule
  let regularization: Regularization
  let training: TrainingArguments
  /// What the options ask for against overfitting and large gradients, in words.
  private let regularizing: [String]

  init(
    data: Dataset<Scalar>, trained: Dataset<Scalar>, heldOut: Dataset<Scalar>?, network: NetworkArguments,
    training: TrainingArguments, regularization: RegularizationArguments, schedule: Schedule
  ) throws {
    self.data = data
    self.trained = try training.classWeights?.applied(to: trained) ?? trained
    self.heldOut = heldOut
    self.training = training
    self.schedule = schedule
    let output = network.outputActivation ?? data.usualOutput
    var scaling: [Layer] = []
    if network.standardize {
      let fitted = try Standardization(fitting: trained)
      scaling = [.scaling(Scaling(mean: fitted.mean, deviation: fitted.standardDeviation))]
    }
    layers = scaling + network.hiddenLayers + [.dense(Dense(data.outputs, activation: output))]
    loss = training.loss ?? Loss(usualWith: output)
    optimizer = try Optimizer(
      named: training.optimizer.name, learningRate: training.learningRate,
      weightDecay: regularization.weightDecay, l1: regularization.l1)
    self.regularization = try regularization.regularization(with: loss)
    regularizing = regularization.summary
  }

  /// The network and its trainer. What they refuse is what the options ask for.
  private func trainer() throws -> Trainer<Scalar> {
    do {
      let network = try Network<Scalar>(inputs: data.inputs, layers: layers, seed: training.seed)
      try network.adoptNames(of: data)
      return try Trainer(
        network, loss: loss, optimizer: optimizer, schedule: schedule, regularization: regularization,
        accumulating: training.accumulate, seed: training.seed, threads: training.threads)
    } catch {
      switch error {
      case .invalidNetwork, .invalidArgument: throw ValidationError("\(error)")
      default: throw error
      }
    }
  }

  /// Trains until the plan, or a cancellation of the task, ends it. `fold` is that of a cross-validation, counted
  /// from 1, for the log.
  ///
  /// - Throws: `ValidationError`, before anything is trained or written, where the options make no network.
  func run(showing progress: Progress, logTo path: String?, fold: Int? = nil) async throws
    -> TrainingResult<Scalar>
  {
    let trainer = try trainer()
    let log = try path.map { path throws(ChainruleError) in try RunLog(path: path, fold: fold) }
    var progress = progress
    var last: Epoch?
    let clock = ContinuousClock()
    let start = clock.now
    defer { progress.end() }
    let epochs = trainer.epochs(
      training.epochs, on: trained, batchSize: training.batchSize, validating: heldOut,
      until: training.untilLoss.map { .loss(below: $0) }, patience: training.patience)
    do throws(any Error) {
      for try await epoch in epochs {
        last = epoch
        progress.show(epoch)
        try log?.write(epoch)
      }
    } catch let error as ChainruleError {
      switch error {
      case .cancelled: break  // The parameters are those after the last whole batch.
      case .notFinite:
        throw Failure(
          message: "training diverged: \(error); a smaller --learning-rate may help", exitCode: .failure)
      default:
        // The rows trained on are shuffled; an error about a row is to give its place in the data.
        _ = try trainer.network.evaluate(data, loss: loss)
        throw error
      }
    }
    return TrainingResult(
      model: try trainer.network.freeze(), epochs: trainer.epochs, loss: last?.loss ?? .nan,
      seconds: (clock.now - start) / .seconds(1), ending: ending(after: last))
  }

  private func ending(after last: Epoch?) -> TrainingResult<Scalar>.Ending {
    if Task.isCancelled { return .interrupted }
    if let last, let bound = training.untilLoss, last.loss < bound { return .lossReached }
    return last?.number == training.epochs ? .allEpochs : .patience
  }
}

/// A trained network, and how it came to be.
struct TrainingResult<Scalar: NetworkScalar>: Sendable {
  enum Ending { case allEpochs, lossReached, patience, interrupted }

  let model: Model<Scalar>
  /// Whole epochs.
  let epochs: Int
  /// Of the last epoch.
  let loss: Double
  let seconds: Double
  let ending: Ending
}

extension Dataset {
  /// Softmax for classes, sigmoid for a single target of 0 and 1, identity for other quantities.
  fileprivate var usualOutput: Activation {
    if classLabels != nil { return .softmax }
    return outputs == 1 && targets.allSatisfy { $0 == 0 || $0 == 1 } ? .sigmoid : .identity
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

  /// What is trained, on what, and how. `heldOut` says in words which rows are held out.
  func summary(heldOut: String) -> [(name: String, value: String)] {
    let targets = data.classLabels.map { "\($0.count) classes" } ?? counted(data.outputs, "output")
    let units = layers.map(\.description)
    return [
      (
        "data",
        "\(counted(data.rows, "row")), \(counted(data.inputs, "input")), \(targets); \(heldOut)"
      ),
      ("network", "\(data.inputs) → \(units.joined(separator: " → ")), \(Scalar.scalarType.rawValue)"),
      (
        "training",
        "\(loss.rawValue), \(optimizer.name) at \(short(optimizer.learningRate)), \(scheduling)"
          + "batches of \(training.batchSize), seed \(training.seed)\(extras)"
      ),
    ]
  }
}

extension TrainingResult {
  /// How long it took, and what ended it.
  func summary(of plan: TrainingPlan<Scalar>) -> (name: String, value: String) {
    let reason =
      switch ending {
      case .allEpochs, .interrupted: ""
      case .lossReached: ", below \(short(plan.training.untilLoss ?? 0))"
      case .patience:
        "; no lower \(plan.heldOut == nil ? "training" : "validation") loss in "
          + "\(counted(plan.training.patience ?? 0, "epoch")), so back to the lowest"
      }
    return (
      "result", "\(counted(epochs, "epoch")) in \(duration(seconds)), training loss \(short(loss))\(reason)"
    )
  }
}
