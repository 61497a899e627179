import ArgumentParser
import Chainrule
import Synchronization

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Compare a model's predictions with known targets.",
    usage: "chainrule evaluate <model> <data> [options]",
    discussion: """
      Prints the accuracy, the balanced accuracy (the mean recall of the classes), macro F1 (the mean F1 of the \
      classes) and the confusion matrix of a model of classes, otherwise the mean absolute error (MAE), the root of \
      the mean squared error (RMSE), R² and the explained variance; and the loss usual with the model's output layer.

      In CSV with a header, the model's features are found by name, in any order and among other columns. Without \
      a header, or for a model without names, the columns are those of the training data. Their categories, gaps and \
      number formats are read as then. A CSV file may be of any size: it is read batch by batch. A row without a target \
      is an error, unless --skip-bad-rows leaves it out.

        chainrule evaluate digits.safetensors digits
        chainrule evaluate wine.safetensors wine.csv --target quality --json
      """)

  @Argument(help: "A model file that \"chainrule train --save\" wrote.")
  var model: String

  @OptionGroup var data: DataArguments
  @OptionGroup var target: TargetArguments

  @Option(help: ArgumentHelp("A column of CSV with the weight of each row.", valueName: "column"))
  var weights: String?

  @Flag(
    help: """
      Leave out the rows of CSV that are bad or have no target, and say how many. By default the first is an error.
      """)
  var skipBadRows = false

  @Flag(
    help: """
      Print one JSON object: rows, loss, then accuracy, balancedAccuracy, macroF1, classes and confusionMatrix, or \
      meanAbsoluteError, rootMeanSquaredError, r2 and explainedVariance; with --skip-bad-rows, skippedRows too.
      """)
  var json = false

  func run() throws {
    switch try SavedModel(contentsOf: model) {
    case .float32(let model): try run(model)
    case .float64(let model): try run(model)
    }
  }

  private func run<Scalar: NetworkScalar>(_ model: Model<Scalar>) throws {
    let source = try data.source()
    try target.check(against: source)
    if skipBadRows { try source.require([.csv], for: "--skip-bad-rows") }
    if weights != nil { try source.require([.csv], for: "--weights") }
    let encoding = try model.encoding(savedAt: self.model)
    var options = data.applied(to: CSVOptions(target: target.targets, weights: weights))
    options.skipsBadRows = skipBadRows
    let loss = Loss(usualWith: model.outputActivation)
    var report = EncodingReport()
    let evaluation: Evaluation
    let skipped: SkippedRows
    if let rows: CSVSource<Scalar> = try source.source(for: model, encoding: encoding, options: options) {
      let watched = WatchedSource(rows)
      evaluation = try model.evaluate(watched, loss: loss)
      (report, skipped) = (watched.report, rows.skippedRows)
    } else {
      let (rows, bad) = try source.dataset(
        for: model, encoding: encoding, options: options,
        choices: DataChoices(labels: target.labels, features: data.features), report: &report)
      skipped = bad
      evaluation = try model.evaluate(rows, loss: loss)
    }
    if let line = report.firstMissingTarget, !skipBadRows {
      throw ChainruleError.badData(
        file: "\(source)", line: line, column: nil,
        reason: "the target is missing; to leave out such rows: --skip-bad-rows")
    }
    report.show(in: source)
    skipped.report()
    try Output.write(
      json
        ? "\(evaluation.json(skippedRows: skipBadRows ? skipped.count : nil))\n"
        : evaluation.summary(loss: loss) + "\n" + evaluation.details)
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
