import ArgumentParser
import Chainrule

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Compare a model's predictions with known targets.",
    usage: "chainrule evaluate <model> <data> [options]",
    discussion: """
      Prints the accuracy and the confusion matrix of a model of classes, otherwise the mean absolute error (MAE), \
      the root of the mean squared error (RMSE) and R²; and the loss usual with the model's output layer.

      In CSV with a header, the model's features are found by name, in any order and among other columns. Without \
      a header, or for a model without names, the columns are the features in order, then the target.

        chainrule evaluate digits.safetensors digits
        chainrule evaluate wine.safetensors wine.csv --target quality --json
      """)

  @Argument(help: "A model file that \"chainrule train --save\" wrote.")
  var model: String

  @OptionGroup var data: DataArguments
  @OptionGroup var target: TargetArguments

  @Flag(
    help: """
      Print one JSON object: rows, loss, then accuracy, classes and confusionMatrix, or meanAbsoluteError, \
      rootMeanSquaredError and r2.
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
    let rows = try source.dataset(
      for: model, target: target.targets, delimiter: data.delimiter, labels: target.labels)
    let loss = Loss(usualWith: model.layers.last!.activation)
    let evaluation = try model.evaluate(rows, loss: loss)
    try Output.write(
      json ? "\(evaluation.json)\n" : evaluation.summary(loss: loss) + "\n" + evaluation.details)
  }
}
