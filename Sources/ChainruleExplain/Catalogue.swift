import Chainrule
import Foundation

// From the names of a step file to the catalogue's values. What this version does not have is refused by
// name, with what there is: a step that leaves it out would be another step.

extension StepFile {
  var scalarType: ScalarType {
    get throws { try named(scalar ?? ScalarType.float64.rawValue, "scalar") }
  }

  var catalogueLoss: Loss {
    get throws {
      let loss: Loss = try named(loss, "loss")
      if labelSmoothing != nil {
        throw StepFileError(place: "labelSmoothing", reason: "not in this version; \(loss) takes y as it is")
      }
      return loss
    }
  }

  var denseLayers: [Dense] {
    get throws {
      try zip(1..., layers).map { number, layer in
        guard layer.type == "dense", let units = layer.units, let activation = layer.activation else {
          throw StepFileError(
            place: "layer \(number), type", reason: "\(layer.type) is not in this version; layers are dense")
        }
        return Dense(
          units, activation: try named(activation, "layer \(number), activation"), bias: layer.bias != nil)
      }
    }
  }

  var catalogueOptimizer: Chainrule.Optimizer {
    get throws {
      if gradientClipNorm != nil {
        throw StepFileError(
          place: "gradientClipNorm", reason: "not in this version; gradients are taken as they are")
      }
      guard Chainrule.Optimizer.names.contains(optimizer.type) else {
        throw StepFileError(
          place: "optimizer, type",
          reason: "\(optimizer.type) is not in this version; there is \(list(Chainrule.Optimizer.names))")
      }
      let json = try JSONEncoder().encode(optimizer)
      let rule = try JSONDecoder().decode(Chainrule.Optimizer.self, from: json)
      let given = try settings(optimizer)
      let known = try settings(rule).keys
      if let unknown = given.keys.sorted().first(where: { !known.contains($0) && given[$0] != .bool(false) })
      {
        throw StepFileError(
          place: "optimizer, \(unknown)",
          reason: "not a setting of \(rule.name) in this version; there is \(list(known.sorted()))")
      }
      return rule
    }
  }
}

/// The value of that name; where there is none, the error lists the names there are.
private func named<Value: RawRepresentable<String> & CaseIterable>(
  _ name: String, _ place: String
) throws -> Value {
  guard let value = Value(rawValue: name) else {
    throw StepFileError(
      place: place, reason: "\(name) is not in this version; there is \(list(Value.allCases.map(\.rawValue)))"
    )
  }
  return value
}

/// "a, b and c"
private func list(_ names: [String]) -> String {
  names.count < 2 ? names.joined() : names.dropLast().joined(separator: ", ") + " and " + names.last!
}

/// A value of an optimizer's setting.
private enum Setting: Decodable, Equatable {
  case bool(Bool)
  case other

  init(from decoder: any Decoder) throws {
    let value = try? decoder.singleValueContainer().decode(Bool.self)
    self = value.map { .bool($0) } ?? .other
  }
}

/// What an optimizer is given, by key, but for its type.
private func settings(_ optimizer: some Encodable) throws -> [String: Setting] {
  try JSONDecoder().decode([String: Setting].self, from: JSONEncoder().encode(optimizer))
    .filter { $0.key != "type" }
}
