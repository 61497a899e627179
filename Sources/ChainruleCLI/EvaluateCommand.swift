import ArgumentParser
import Chainrule

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
    let (rows, skipped) = try source.dataset(
      for: model, encoding: try SavedEncoding(ofModelAt: self.model).encoding(for: model),
      target: target.targets, delimiter: data.delimiter,
      choices: DataChoices(labels: target.labels, features: data.features), skipsBadRows: skipBadRows)
    skipped.report()
    let loss = Loss(usualWith: model.outputActivation)
    let evaluation = try model.evaluate(rows, loss: loss)
    try Output.write(
      json
        ? "\(evaluation.json(skippedRows: skipBadRows ? skipped.count : nil))\n"
        : evaluation.summary(loss: loss) + "\n" + evaluation.details)
  }
}
