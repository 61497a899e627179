import Chainrule
#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

// Converts the names in a step file to the catalogue's values. An unknown name is an error that lists the known ones.

extension StepFile {
  /// The type of the numbers. Default: float64.
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

  /// The layers of a valid file.
  var catalogueLayers: [Chainrule.Layer] {
    get throws {
      try zip(1..., layers).map { number, layer in
        func activation() throws -> Activation {
          try named(layer.activation!, "layer \(number), activation")
        }
        switch layer.type {
        case "dense":
          return .dense(
            Dense(
              layer.units!, activation: try activation(), bias: layer.bias != nil,
              weightsInitializer: try initializer(layer.initializer, "layer \(number), initializer")))
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
            reason: unknown(layer.type, among: Chainrule.Layer.names))
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

/// The value with a name.
private func named<Value: RawRepresentable<String> & CaseIterable>(
  _ name: String, _ place: String
) throws -> Value {
  guard let value = Value(rawValue: name) else {
    throw StepFileError(place: place, reason: unknown(name, among: Value.allCases.map(\.rawValue)))
  }
  return value
}

/// "unknown name mse; did you mean meanSquaredError?", or with all names
private func unknown(_ name: String, among names: [String]) -> String {
  let hint = nearest(to: name, among: names).map { "did you mean \($0)?" } ?? "expected \(list(names, "or"))"
  return "unknown name \(name); \(hint)"
}

/// The initializer with a name, of those without a number of their own.
private func initializer(_ name: String?, _ place: String) throws -> Initializer {
  let named: [(String, Initializer)] = [
    ("automatic", .automatic), ("glorotUniform", .glorotUniform), ("glorotNormal", .glorotNormal),
    ("heUniform", .heUniform), ("heNormal", .heNormal), ("lecunNormal", .lecunNormal), ("zeros", .zeros),
  ]
  guard let name else { return .automatic }
  guard let initializer = named.first(where: { $0.0 == name })?.1 else {
    throw StepFileError(place: place, reason: unknown(name, among: named.map(\.0)))
  }
  return initializer
}
