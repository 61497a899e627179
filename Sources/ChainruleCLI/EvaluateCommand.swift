import ArgumentParser
import Chainrule

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Compare a model's predictions with known targets.",
    usage: "chainrule evaluate <model> <data> [options]",
    discussion: """
      Prints the loss usual with the model's output layer, and:
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

      In CSV with a header, the model's features are found by name, in any order and among other columns. Without \
      a header, or for a model without names, the columns are the features in order, then the target. What \
      "chainrule train" was told of categories and missing cells is read from the file <model>.encoding.json that \
      it saved.

        chainrule evaluate digits.safetensors digits
        chainrule evaluate wine.safetensors wine.csv --target quality --json
      """)

  @Argument(help: "A model file that \"chainrule train --save\" wrote.")
  var model: String

  @OptionGroup var data: DataArguments
  @OptionGroup var target: TargetArguments

  @Flag(help: "Leave out the rows of CSV that are bad, and say how many. By default the first is an error.")
  var skipBadRows = false

  @Option(
    help: ArgumentHelp(
      """
      The probability of the second of two classes, or of each label, above which it is predicted, 0 to 1 (default: \
      0.5).
      """, valueName: "probability"))
  var threshold: Double?

  @Flag(
    help: """
      Permute one column after the other and measure how much the score drops: the log loss of probabilities, the \
      accuracy of classes without probabilities, R² of a regression. Prints the 30 most important columns with the \
      mean drop and its 95 % interval.
      """)
  var importance = false

  @Option(help: "For --importance: the number of permutations of each column, at least 2 (default: 10).")
  var repeats: Int?

  @Option(help: "For --importance: seeds the permutations (default: 0).")
  var seed: UInt64?

  @Flag(
    help: """
      Print one JSON object. Always: rows, loss; with --skip-bad-rows skippedRows; with --importance importance \
      (metric, score, repeats, and of each of the columns name, features, mean, lower, upper). Classes: accuracy, \
      balancedAccuracy, macroF1, areaUnderROC, logLoss, expectedCalibrationError, calibration (of each bin lower, \
      upper, rows, confidence, accuracy), perClass (class, precision, recall, f1, areaUnderROC, support), classes, \
      confusionMatrix (a row for each actual class; for more than 4,096 classes confusionCounts, [actual, predicted, \
      count] of every count above 0). Two classes: also averagePrecision, brierScore, threshold, bestF1 (threshold, \
      f1). Labels: subsetAccuracy, hammingLoss, microF1, macroF1, samplesF1, areaUnderROC, threshold, perLabel \
      (label, precision, recall, f1, areaUnderROC, support). Regression: meanAbsoluteError, rootMeanSquaredError, \
      r2, explainedVariance, medianAbsoluteError. A figure computed from merged scores has its largest error next to \
      it: areaUnderROCUncertainty, averagePrecisionUncertainty, medianAbsoluteErrorUncertainty. What is undefined is \
      left out.
      """)
  var json = false

  func validate() throws {
    try require("--threshold", threshold, "a probability, 0 to 1") { 0...1 ~= $0 }
    try require("--repeats", repeats, "at least 2") { $0 >= 2 }
    guard importance || (repeats == nil && seed == nil) else {
      throw ValidationError(
        "\(repeats == nil ? "--seed" : "--repeats") is for --importance; add --importance")
    }
  }

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
    let (rows, skipped) = try source.dataset(
      for: model, encoding: try SavedEncoding(ofModelAt: self.model).encoding(for: model),
      target: target.targets, delimiter: data.delimiter,
      choices: DataChoices(labels: target.labels, features: data.features), skipsBadRows: skipBadRows)
    skipped.report()
    let loss = Loss(usualWith: model.layers.last!.activation)
    let report = try report(of: model, on: rows, loss: loss)
    let importance = try importance ? self.importance(of: model, on: rows) : nil
    try Output.write(
      json
        ? "\(report.json(skippedRows: skipBadRows ? skipped.count : nil, importance: importance?.json))\n"
        : report.text(loss: loss) + (importance?.text ?? ""))
  }

  private func report<Scalar>(
    of model: Model<Scalar>, on rows: Dataset<Scalar>, loss: Loss
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
    of model: Model<Scalar>, on rows: Dataset<Scalar>
  ) throws -> PermutationImportance {
    try model.permutationImportance(
      on: rows, groups: featureGroups(of: model.featureNames), repeats: repeats ?? 10, seed: seed ?? 0)
  }
}
