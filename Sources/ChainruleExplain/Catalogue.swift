import Chainrule
#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

// From the names of a step file to the catalogue's values. What this version does not have is refused by
// name, with what there is: a step that leaves it out would be another step.

extension StepFile {
  /// The type of the numbers; float64 where the file does not say.
  ///
  /// - Throws: `StepFileError` for another name.
  public var scalarType: ScalarType {
    get throws { try named(scalar ?? ScalarType.float64.rawValue, "scalar") }
  }

  var catalogueLoss: Loss {
    get throws {
      try named(loss, "loss")
    }
  }

  /// The layers of a file that is valid.
  var catalogueLayers: [Chainrule.Layer] {
    get throws {
      try zip(1..., layers).map { number, layer in
        func activation() throws -> Activation {
          try named(layer.activation!, "layer \(number), activation")
        }
        switch layer.type {
        case "dense":
          return .dense(Dense(layer.units!, activation: try activation(), bias: layer.bias != nil))
        case "activation": return .activation(try activation())
        case "dropout": return .dropout(Dropout(layer.rate!))
        case "batchNorm":
          return .batchNorm(BatchNorm(momentum: layer.momentum ?? 0.1, epsilon: layer.epsilon ?? 1e-5))
        case "layerNorm": return .layerNorm(LayerNorm(epsilon: layer.epsilon ?? 1e-5))
        case "scaling": return .scaling(Scaling(mean: layer.mean!, deviation: layer.deviation!))
        case "residual": return .residual(span: layer.span!)
        default:
          throw StepFileError(
            place: "layer \(number), type",
            reason: "\(layer.type) is not in this version; there is \(list(Chainrule.Layer.names))")
        }
      }
    }
  }

  var regularization: Regularization {
    Regularization(
      labelSmoothing: labelSmoothing ?? 0, gradientClipNorm: gradientClipNorm,
      gradientClipValue: gradientClipValue)
  }

  var catalogueOptimizer: Chainrule.Optimizer {
    get throws {
      guard Chainrule.Optimizer.names.contains(optimizer.type) else {
        throw StepFileError(
          place: "optimizer, type",
          reason: unknown(optimizer.type, among: Chainrule.Optimizer.names))
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
    throw StepFileError(place: place, reason: unknown(name, among: Value.allCases.map(\.rawValue)))
  }
  return value
}

/// What is said of a name that is none of `names`.
private func unknown(_ name: String, among names: [String]) -> String {
  let hint = nearest(to: name, among: names).map { "did you mean \($0)?" } ?? "there is \(list(names))"
  return "\(name) is not in this version; \(hint)"
}

/// "a, b and c"
func list(_ names: [String], _ conjunction: String = "and") -> String {
  names.count < 2
    ? names.joined() : names.dropLast().joined(separator: ", ") + " \(conjunction) " + names.last!
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
