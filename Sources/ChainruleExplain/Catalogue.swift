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
      guard let kind = Chainrule.Optimizer.Kind(rawValue: optimizer.type) else {
        throw StepFileError(
          place: "optimizer, type",
          reason: unknown(optimizer.type, among: Chainrule.Optimizer.Kind.allCases.map(\.rawValue)))
      }
      do {
        return try Chainrule.Optimizer(kind, optimizer.numbers)
      } catch {
        throw StepFileError(place: "optimizer", reason: error.description)
      }
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
