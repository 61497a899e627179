import ArgumentParser
import Chainrule
import Foundation

struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Predict the target of every row.",
    usage: "chainrule predict <model> <data> [options]",
    discussion: """
      Prints CSV with a header: the number of the row, counted from 1; for a model of classes the most probable \
      class and the probability of each, otherwise the outputs.

      In CSV with a header, the model's features are found by name, in any order and among other columns. Without \
      a header, or for a model without names, the columns must be the features, in order. Of IDX, only the images \
      are needed. What "chainrule train" was told of categories and missing cells is read from the file \
      <model>.encoding.json that it saved.

        chainrule predict iris.safetensors iris
        chainrule predict wine.safetensors - --json < new.csv
      """)

  @Argument(help: "A model file that \"chainrule train --save\" wrote.")
  var model: String

  @OptionGroup var data: DataArguments

  @Option(
    help: ArgumentHelp(
      "Write to this file in place of standard output; it is replaced only once all is there.",
      valueName: "file"))
  var output: String?

  @Flag(
    help: """
      Print one JSON object a row: row, label and probabilities for a model of classes, otherwise row and outputs.
      """)
  var json = false

  func run() throws {
    try checkFiles(reading: ["<model>": model, "<data>": data.data], writing: ["--output": output])
    switch try SavedModel(contentsOf: model) {
    case .float32(let model): try run(model)
    case .float64(let model): try run(model)
    }
  }

  private func run<Scalar: NetworkScalar>(_ model: Model<Scalar>) throws {
    let source = try data.source()
    let encoding = try SavedEncoding(ofModelAt: self.model).encoding(for: model)
    let outputs = try model.predict(
      source.features(
        for: model, encoding: encoding, delimiter: data.delimiter,
        choices: DataChoices(features: data.features)))
    if let index = outputs.firstIndex(where: { !$0.isFinite }) {
      throw source.bad(
        "row \(index / model.outputs + 1) is predicted as \(outputs[index]); its features are too large for "
          + Scalar.scalarType.rawValue)
    }
    let predictions = Predictions(model: model, outputs: outputs)
    let text = json ? predictions.json : predictions.csv
    if let output { try replaceFile(at: output, with: Data(text.utf8)) } else { try Output.write(text) }
  }
}

/// A model's outputs, rows × outputs, as text.
struct Predictions<Scalar: NetworkScalar> {
  let model: Model<Scalar>
  let outputs: [Scalar]

  /// A line a row, below a header.
  var csv: String {
    let names =
      model.classLabels.map { ["label"] + $0 } ?? model.targetNames
      ?? (1...model.outputs).map { "output\($0)" }
    var lines = [(["row"] + names).map(csvCell).joined(separator: ",")]
    for (row, values) in rows {
      let label = label(of: values).map { [csvCell($0)] } ?? []
      lines.append((["\(row)"] + label + values.map { "\($0)" }).joined(separator: ","))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// An object a line and row.
  var json: String {
    rows.map { row, values in
      let object: JSON =
        if let label = label(of: values), let classes = model.classLabels {
          .object([
            ("row", .integer(row)), ("label", .string(label)),
            ("probabilities", .object(zip(classes, values).map { ($0, .number($1)) })),
          ])
        } else {
          .object([("row", .integer(row)), ("outputs", .array(values.compactMap { .number($0) }))])
        }
      return "\(object)\n"
    }.joined()
  }

  /// Rows counted from 1.
  private var rows: [(number: Int, values: ArraySlice<Scalar>)] {
    stride(from: 0, to: outputs.count, by: model.outputs).map { start in
      (start / model.outputs + 1, outputs[start..<start + model.outputs])
    }
  }

  /// The class of the largest output, the first where several are equal; nil for a regression.
  private func label(of values: ArraySlice<Scalar>) -> String? {
    guard let classes = model.classLabels, let largest = values.max(),
      let index = values.firstIndex(of: largest)
    else { return nil }
    return classes[index - values.startIndex]
  }
}

/// A cell as RFC 4180 writes it: quoted where it must be.
private func csvCell(_ text: String) -> String {
  let isPlain =
    !text.contains { ",\"\r\n".contains($0) || $0.isNewline } && text.first != " " && text.last != " "
  return isPlain ? text : "\"\(text.replacingOccurrences(of: "\"", with: "\"\""))\""
}
