import ArgumentParser
import Chainrule

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show the layers and names in a model file.",
    usage: "chainrule inspect <model> [options]",
    discussion: """
      Prints the layers with the shapes of their weights, the number of parameters, the scalar type, and the names \
      of features, targets and classes. --json prints one object: scalar, inputs, outputs, parameters, layers, features, \
      targets, classes.

        chainrule inspect digits.safetensors
      """)

  @OptionGroup var modelFile: ModelArguments

  @OptionGroup var form: JSONArguments

  private var model: String { modelFile.model }

  func run() throws {
    switch try savedModel(at: model) {
    case .float32(let model): try show(model)
    case .float64(let model): try show(model)
    }
  }

  private func show<Scalar>(_ model: Model<Scalar>) throws {
    try Output.write(form.json ? "\(model.json())\n" : model.table())
  }
}

extension Model {
  /// The layers with the size of their input and output and the number of their parameters.
  private var shapes: [(layer: Layer, inputs: Int, units: Int, parameters: Int)] {
    get throws {
      try layers.enumerated().map { index, layer in
        let parameters = try parameters(ofLayer: index)
        let counts = [parameters.weights, parameters.bias, parameters.gamma, parameters.beta].map {
          $0?.count ?? 0
        }
        return (layer, parameters.inputs, parameters.units, counts.reduce(0, +))
      }
    }
  }

  fileprivate func json() throws -> JSON {
    let layers = try shapes.map { layer, inputs, units, parameters in
      var members: [(String, JSON?)] = [
        ("type", .string(layer.name)), ("inputs", .integer(inputs)), ("units", .integer(units)),
      ]
      switch layer {
      case .dense(let dense):
        members += [("activation", .string(dense.activation.rawValue)), ("bias", .bool(dense.bias))]
      case .activation(let activation): members.append(("activation", .string(activation.rawValue)))
      case .dropout(let dropout): members.append(("rate", .number(dropout.rate)))
      case .batchNorm(let norm):
        members += [("momentum", .number(norm.momentum)), ("epsilon", .number(norm.epsilon))]
      case .layerNorm(let norm): members.append(("epsilon", .number(norm.epsilon)))
      case .scaling, .custom: break
      case .residual(let span): members.append(("span", .integer(span)))
      }
      return JSON.object(members + [("parameters", .integer(parameters))])
    }
    return .object([
      ("scalar", .string(Scalar.scalarType.rawValue)), ("inputs", .integer(inputs)),
      ("outputs", .integer(outputs)),
      ("parameters", .integer(parameterCount)), ("layers", .array(layers)),
      ("features", featureNames.map(JSON.strings)), ("targets", targetNames.map(JSON.strings)),
      ("classes", classLabels.map(JSON.strings)),
    ])
  }

  fileprivate func table() throws -> String {
    var rows = [["layer", "type", "weights", "bias", "activation", "parameters"]]
    for (number, (layer, inputs, units, parameters)) in try shapes.enumerated() {
      var shape = ("\(units)", "–", "–")
      switch layer {
      case .dense(let dense):
        shape = ("\(units) × \(inputs)", dense.bias ? "\(units)" : "–", dense.activation.rawValue)
      case .activation(let activation): shape.2 = activation.rawValue
      default: break
      }
      rows.append(["\(number + 1)", layer.name, shape.0, shape.1, shape.2, "\(parameters)"])
    }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    let lines = rows.map { row in
      zip(row, widths).map { String(repeating: " ", count: $1 - $0.count) + $0 }.joined(separator: "  ")
        + "\n"
    }
    var names = ""
    for (title, list) in [("features", featureNames), ("targets", targetNames), ("classes", classLabels)] {
      if let list {
        names += "\(title)  \(list.map { $0.escaped(for: .terminal) }.joined(separator: ", "))\n"
      }
    }
    return "\(Scalar.scalarType.rawValue), \(counted(inputs, "input")), \(counted(outputs, "output")), "
      + "\(counted(parameterCount, "parameter"))\n\n" + lines.joined() + (names.isEmpty ? "" : "\n\(names)")
  }
}
