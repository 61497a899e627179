import ArgumentParser
import Chainrule
import Foundation

struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Predict the target of every row.",
    usage: "chainrule predict <model> <data> [options]",
    discussion: """
      Prints CSV with a header. Each line has the number of the row, from 1, and for a model with classes the most probable \
      class and the probability of each class; for other models the outputs. --json prints one object for each row: row, \
      label and probabilities for a model with classes, otherwise row and outputs.

      CSV with a header: the features are found by name, in any order and among other columns. CSV without a header, or a \
      model without names: the columns must be the features in their order. Categories, missing cells and number formats \
      are read as in training. A category that the model does not know has all its features 0, and the command reports how \
      many there are. A CSV file may be larger than memory. For IDX, only the file of images is needed.

        chainrule predict iris.safetensors iris
        chainrule predict wine.safetensors - --json < new.csv
      """)

  @OptionGroup var modelFile: ModelArguments

  @OptionGroup var data: DataArguments

  @OptionGroup var identification: IDArguments

  @Flag(
    help: """
      Put an apostrophe before text that a spreadsheet would run as a formula: text that begins with =, +, -, @, a tab or a \
      carriage return. For CSV output.
      """)
  var guardFormulas = false

  @OptionGroup var destination: OutputFileArguments

  @OptionGroup var form: JSONArguments

  private var model: String { modelFile.model }
  private var id: String? { identification.id }
  private var output: String? { destination.output }

  func run() throws {
    try checkFiles(reading: ["<model>": model, "<data>": data.data], writing: ["--output": output])
    switch try savedModel(at: model, for: data.data) {
    case .float32(let model): try run(model)
    case .float64(let model): try run(model)
    }
  }

  private func run<Scalar: NetworkScalar>(_ model: Model<Scalar>) throws {
    let source = try data.source()
    let encoding = try model.encoding(savedAt: self.model)
    var predictions = Predictions(model: model, idName: id, asJSON: form.json, guardsFormulas: guardFormulas)
    var report = EncodingReport()
    let destination = try Destination(output)
    try source.forEachFeatures(
      for: model, encoding: encoding?.features, options: data.applied(to: CSVOptions()), id: id,
      choices: DataChoices(features: data.features), report: &report
    ) { features, ids in
      let outputs = try model.predict(features)
      if let index = outputs.firstIndex(where: { !$0.isFinite }) {
        throw source.bad(
          "row \(predictions.rows + index / model.outputs + 1): the prediction is \(outputs[index]); the features are too "
            + "large for \(Scalar.scalarType.rawValue)")
      }
      // The header comes with the first rows: bad data leave standard output empty.
      if predictions.rows == 0 { try destination.write(predictions.header) }
      try destination.write(predictions.text(of: outputs, ids: ids))
    }
    if predictions.rows == 0 { try destination.write(predictions.header) }
    try destination.finish()
    report.show(in: source)
  }
}

/// A model's outputs as text, some rows after others.
struct Predictions<Scalar: NetworkScalar> {
  private let model: Model<Scalar>
  /// The column whose cells stand in the place of the row's number.
  private let idName: String?
  private let asJSON: Bool
  private let guardsFormulas: Bool
  private let classes: [String]?
  /// The rows written so far.
  private(set) var rows = 0

  init(model: Model<Scalar>, idName: String?, asJSON: Bool, guardsFormulas: Bool) {
    self.model = model
    self.idName = idName
    self.asJSON = asJSON
    self.guardsFormulas = guardsFormulas
    classes = model.classLabels
  }

  /// The first line of CSV.
  var header: String {
    if asJSON { return "" }
    let names =
      classes.map { ["label"] + $0 } ?? model.targetNames ?? (1...model.outputs).map { "output\($0)" }
    return ([idName ?? "row"] + names).map(cell).joined(separator: ",") + "\n"
  }

  /// A line a row, for outputs, rows × outputs.
  mutating func text(of outputs: [Scalar], ids: [String]?) -> String {
    var text = ""
    for (index, start) in stride(from: 0, to: outputs.count, by: model.outputs).enumerated() {
      rows += 1
      let values = outputs[start..<start + model.outputs]
      text += asJSON ? json(values, id: ids?[index]) : csv(values, id: ids?[index])
    }
    return text
  }

  private func csv(_ values: ArraySlice<Scalar>, id: String?) -> String {
    var line = id.map(cell) ?? "\(rows)"
    if let label = label(of: values) { line += "," + cell(label) }
    for value in values { line += ",\(value)" }
    return line + "\n"
  }

  private func json(_ values: ArraySlice<Scalar>, id: String?) -> String {
    var members: [(key: String, value: JSON?)] = [("row", .integer(rows)), ("id", id.map(JSON.string))]
    if let label = label(of: values), let classes {
      members += [
        ("label", .string(label)),
        ("probabilities", .object(zip(classes, values).map { ($0, .number($1)) })),
      ]
    } else {
      members.append(("outputs", .array(values.compactMap { .number($0) })))
    }
    return "\(JSON.object(members))\n"
  }

  /// The class of the largest output, the first where several are equal; nil for a regression.
  private func label(of values: ArraySlice<Scalar>) -> String? {
    guard let classes, let largest = values.max(), let index = values.firstIndex(of: largest) else {
      return nil
    }
    return classes[index - values.startIndex]
  }

  private func cell(_ text: String) -> String { text.escaped(for: .csv(guardingFormulas: guardsFormulas)) }
}

/// Standard output, or a file that is replaced once all is there.
private final class Destination {
  private let file: FileReplacement?

  init(_ path: String?) throws(ChainruleError) {
    if let path { file = try FileReplacement(at: path) } else { file = nil }
  }

  func write(_ text: String) throws(ChainruleError) {
    guard let file else { return try Output.write(rows: text) }
    try file.write(Array(text.utf8))
  }

  func finish() throws(ChainruleError) { try file?.commit() }
}
