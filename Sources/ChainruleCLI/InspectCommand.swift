import ArgumentParser
import Chainrule

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a model file holds.",
    usage: "chainrule inspect <model> [options]",
    discussion: """
      Prints the layers with the shapes of their weights, the number of parameters, the scalar type, and the names \
      of features, targets and classes.

        chainrule inspect digits.safetensors
      """)

  @Argument(help: "A model file that \"chainrule train --save\" wrote.")
  var model: String

  @Flag(
    help: "Print one JSON object: scalar, inputs, outputs, parameters, layers, features, targets, classes.")
  var json = false

  func run() throws {
    switch try SavedModel(contentsOf: model) {
    case .float32(let model): try show(model)
    case .float64(let model): try show(model)
    }
  }

  private func show<Scalar>(_ model: Model<Scalar>) throws {
    try Output.write(json ? "\(model.json)\n" : model.table)
  }
}

extension Model {
  /// The layers with the size of their input and the number of their parameters.
  private var shapes: [(layer: Dense, inputs: Int, parameters: Int)] {
    zip(layers, [inputs] + layers.map(\.units)).map { layer, inputs in
      switch layer {
      case .dense(let dense): (dense, inputs, dense.units * (inputs + (dense.bias ? 1 : 0)))
      }
    }
  }

  fileprivate var json: JSON {
    let layers = shapes.map { layer, inputs, parameters in
      JSON.object([
        ("type", .string("dense")), ("inputs", .integer(inputs)), ("units", .integer(layer.units)),
        ("activation", .string(layer.activation.rawValue)), ("bias", .bool(layer.bias)),
        ("parameters", .integer(parameters)),
      ])
    }
    return .object([
      ("scalar", .string(Scalar.scalarType.rawValue)), ("inputs", .integer(inputs)),
      ("outputs", .integer(outputs)),
      ("parameters", .integer(parameterCount)), ("layers", .array(layers)),
      ("features", featureNames.map(JSON.strings)), ("targets", targetNames.map(JSON.strings)),
      ("classes", classLabels.map(JSON.strings)),
    ])
  }

  fileprivate var table: String {
    var rows = [["layer", "weights", "bias", "activation", "parameters"]]
    for (number, (layer, inputs, parameters)) in shapes.enumerated() {
      rows.append([
        "\(number + 1)", "\(layer.units) × \(inputs)", layer.bias ? "\(layer.units)" : "–",
        layer.activation.rawValue, "\(parameters)",
      ])
    }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let lines = rows.map { row in
      zip(row, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }.joined(separator: "  ")
        + "\n"
    }
    var names = ""
    for (title, list) in [("features", featureNames), ("targets", targetNames), ("classes", classLabels)] {
      if let list { names += "\(title)  \(list.joined(separator: ", "))\n" }
    }
    return "\(Scalar.scalarType.rawValue), \(counted(inputs, "input")), \(counted(outputs, "output")), "
      + "\(counted(parameterCount, "parameter"))\n\n" + lines.joined() + (names.isEmpty ? "" : "\n\(names)")
  }
}
