import ArgumentParser
import Chainrule
import Synchronization

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Compare a model's predictions with known targets.",
    usage: "chainrule evaluate <model> <data> [options]",
    discussion: """
      Prints the loss that the model was trained with, or the usual loss for its output layer if the file does not name \
      one, and:
        classes     accuracy, balanced accuracy (the mean recall of the classes), macro F1 (the mean F1 of the \
      classes), the area under the ROC curve (ROC AUC; with more than two classes the mean of each against the \
      rest), log loss, the expected calibration error (ECE, 15 bins); with two classes also average precision, the \
      Brier score and the threshold with the best F1 of the second class; precision, recall, F1 and support of each \
      class; the confusion matrix, or for more than 20 classes the most confused pairs.
        labels      (several sigmoid outputs, targets 0 or 1) subset accuracy, Hamming loss, micro, macro and \
      samples F1, and the figures of each label.
        regression  the mean absolute error (MAE), the root of the mean squared error (RMSE), R², the explained \
      variance and the median absolute error.
      A model without softmax or sigmoid outputs, such as one trained with hinge, has no probabilities, so no log \
      loss, Brier score, ECE or threshold.

      CSV with a header: the features are found by name, in any order and among other columns. CSV without a header, or a \
      model without names: the columns must be those of the training data. Categories, missing cells and number formats are \
      read as in training. A CSV file may be larger than memory. A row without a target is an error unless --skip-bad-rows \
      is given.

      --json prints one object. Always: rows, loss; with --skip-bad-rows skippedRows; with --importance importance \
      (metric, score, repeats, and of each of the columns name, features, mean, lower, upper). Classes: accuracy, \
      balancedAccuracy, macroF1, areaUnderROC, logLoss, expectedCalibrationError, calibration (of each bin lower, \
      upper, rows, confidence, accuracy), perClass (class, precision, recall, f1, areaUnderROC, support), classes, \
      confusionMatrix (a row for each actual class; for more than 4,096 classes confusionCounts, [actual, predicted, \
      count] of every count above 0). Two classes: also averagePrecision, brierScore, threshold, bestF1 (threshold, \
      f1). Labels: subsetAccuracy, hammingLoss, microF1, macroF1, samplesF1, areaUnderROC, threshold, perLabel \
      (label, precision, recall, f1, areaUnderROC, support). Regression: meanAbsoluteError, rootMeanSquaredError, \
      r2, explainedVariance, medianAbsoluteError. A figure computed from merged scores has its largest error next to \
      it: areaUnderROCUncertainty, averagePrecisionUncertainty, medianAbsoluteErrorUncertainty. An undefined figure \
      is left out.

        chainrule evaluate digits.safetensors digits
        chainrule evaluate wine.safetensors wine.csv --target quality --json
      """)

  @OptionGroup var modelFile: ModelArguments

  @OptionGroup var data: DataArguments
  @OptionGroup var target: TargetArguments

  @OptionGroup var rows: RowArguments

  @Option(
    help: ArgumentHelp(
      """
      Probability above which the second of two classes, or a label, is predicted, 0 to 1. Default: 0.5.
      """, valueName: "probability"))
  var threshold: Double?

  @Flag(
    help: """
      Permutation importance: permute one column at a time and measure how much worse the score becomes. The score is the \
      log loss for probabilities, the accuracy for classes without probabilities, R² for a regression. Prints the 30 most \
      important columns with the mean change and its 95 % interval.
      """)
  var importance = false

  @Option(help: "With --importance: permutations of each column, 2 or more. Default: 10.")
  var repeats: Int?

  @OptionGroup var seeding: SeedArguments
  @OptionGroup var form: JSONArguments

  private var model: String { modelFile.model }

  func validate() throws {
    try require("--threshold", threshold, "a probability, 0 to 1") { 0...1 ~= $0 }
    try require("--repeats", repeats, "at least 2") { $0 >= 2 }
    guard importance || (repeats == nil && seeding.given == nil) else {
      throw ValidationError(
        "\(repeats == nil ? "--seed" : "--repeats") needs --importance")
    }
  }

  func run() throws {
    switch try savedModel(at: model, for: data.data) {
    case .float32(let model): try run(model)
    case .float64(let model): try run(model)
    }
  }

  private func run<Scalar: NetworkScalar>(_ model: Model<Scalar>) throws {
    let source = try data.source()
    try target.check(against: source)
    try rows.check(against: source)
    let encoding = try model.encoding(savedAt: self.model)
    var options = data.applied(to: CSVOptions(target: target.targets, weights: rows.weights))
    options.skipsBadRows = rows.skipBadRows
    let loss = model.trainingLoss ?? Loss.default(for: model.outputActivation)
    var met = EncodingReport()
    let report: EvaluationReport
    let skipped: SkippedRows
    var importance: PermutationImportance?
    // Columns are permuted in memory.
    if !self.importance,
      let rows: CSVSource<Scalar> = try source.source(for: model, encoding: encoding, options: options)
    {
      let watched = WatchedSource(rows)
      report = try self.report(of: model, on: watched, loss: loss)
      (met, skipped) = (watched.report, rows.skippedRows)
    } else {
      let (rows, bad) = try source.dataset(
        for: model, encoding: encoding, options: options,
        choices: DataChoices(labels: target.labels, features: data.features), report: &met)
      skipped = bad
      report = try self.report(of: model, on: rows, loss: loss)
      if self.importance { importance = try self.importance(of: model, on: rows, encoding?.features) }
    }
    if let line = met.firstMissingTarget, !rows.skipBadRows {
      throw ChainruleError.badData(
        file: "\(source)", line: line, column: nil,
        reason: "the target is missing; use --skip-bad-rows to skip such rows")
    }
    met.show(in: source)
    skipped.report()
    try Output.write(
      form.json
        ? "\(try report.json(skippedRows: rows.skipBadRows ? skipped.count : nil, importance: importance?.json))\n"
        : try report.text(loss: loss) + (importance?.text ?? ""))
  }

  private func report<Scalar>(
    of model: Model<Scalar>, on rows: some BatchSource<Scalar>, loss: Loss
  ) throws -> EvaluationReport {
    do throws(ChainruleError) {
      return try model.report(on: rows, loss: loss, threshold: threshold ?? 0.5)
    } catch {
      // Whether the model has a threshold is known only with the data.
      if case .invalidValue("threshold", _, _) = error { throw ValidationError("--threshold: \(error)") }
      throw error
    }
  }

  private func importance<Scalar>(
    of model: Model<Scalar>, on rows: Dataset<Scalar>, _ encoding: FeatureEncoding?
  ) throws -> PermutationImportance {
    // All features of a column are permuted together; without an encoding each is a column.
    let groups = encoding?.featuresOfColumns.map { FeatureGroup(name: $0.name, features: Array($0.features)) }
    return try model.permutationImportance(
      on: rows,
      groups: groups ?? model.featureNames?.enumerated().map { FeatureGroup(name: $1, features: [$0]) },
      repeats: repeats ?? 10, seed: seeding.seed)
  }
}

/// A CSV file whose last reader's report is kept.
private struct WatchedSource<Scalar: NetworkScalar>: BatchSource {
  let source: CSVSource<Scalar>
  private let kept = Kept()

  init(_ source: CSVSource<Scalar>) { self.source = source }

  var inputs: Int { source.inputs }
  var outputs: Int { source.outputs }
  var rowCount: Int? { source.rowCount }
  var report: EncodingReport { kept.value }

  func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> Batches {
    Batches(batches: try source.makeBatches(of: size, epoch: epoch), kept: kept)
  }

  struct Batches: BatchIterator {
    fileprivate var batches: CSVSource<Scalar>.Batches
    fileprivate let kept: Kept

    mutating func next() throws(ChainruleError) -> Dataset<Scalar>? {
      let next = try batches.next()
      kept.value = batches.report
      return next
    }
  }
}

/// Where an iterator leaves its report.
private final class Kept: Sendable {
  private let report = Mutex(EncodingReport())

  var value: EncodingReport {
    get { report.withLock { $0 } }
    set { report.withLock { $0 = newValue } }
  }
}
