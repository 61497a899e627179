import Chainrule
internal import SwiftProtobuf

// Whether a few nodes are one of the formulas of ActivationFormulas.swift.

extension Graph {
  /// What nodes do that are one of the formulas that are known.
  func stepOfFormula(_ node: Node) throws -> Step? {
    for (formula, activation) in Activation.formulas {
      var found = Captures()
      if matches(node.output, formula, &found), let z = found.z {
        return try step(node, [.activation(activation)], of: z)
      }
    }
    for (formula, idiom) in Formula.idioms {
      var found = Captures()
      guard matches(node.output, formula, &found), let z = found.z else { continue }
      switch idiom {
      case .slope:
        guard let slope = number(found.parameters["slope"]?.name) else { continue }
        if node.type == "Max", slope >= 1 { continue }
        return try step(node, Self.sloped([slope], z, node), of: z)
      case .negativeSlope:
        guard let constant = found.parameters["negative"], constant.trimmedDims.count <= 1 else { continue }
        let slopes = try constant.numbers().map { decimal(Float(-$0)) }
        return try step(node, Self.sloped(slopes, z, node), of: z)
      case .layerNorm:
        guard let epsilon = number(found.parameters["epsilon"]?.name) else { continue }
        let norm = LayerNorm(epsilon: decimal(Float(epsilon)))
        return try step(
          node,
          [.layerNorm(norm, gamma: found.parameters["gamma"], beta: found.parameters["beta"])], of: z)
      case .softplus:
        guard let factor = number(found.parameters["factor"]?.name), factor > 0 else { continue }
        return try step(
          node,
          [
            .scaler(mean: [0], factor: [factor]), .activation(.softplus),
            .scaler(mean: [0], factor: [1 / factor]),
          ], of: z)
      }
    }
    return nil
  }

  /// What the letters of a formula stand for.
  private struct Captures {
    var z: String?
    var parameters: [String: Constant] = [:]
  }

  /// Whether `tensor` is the formula's value for some z, which it then names.
  private func matches(_ tensor: String, _ formula: Formula, _ found: inout Captures) -> Bool {
    switch formula {
    case .z:
      let source = passed(tensor)
      guard constants[source] == nil, found.z == nil || found.z == source else { return false }
      found.z = source
      return true
    case .number(let expected):
      guard let value = number(tensor) ?? equalNumbers(tensor) else { return false }
      return isClose(value, expected)
    case .parameter(let name):
      guard let constant = constants[tensor] else { return false }
      guard let before = found.parameters.updateValue(constant, forKey: name) else { return true }
      return before.name == constant.name
        || (number(before.name) != nil && number(before.name) == number(tensor))
    case .apply(let name, let arguments):
      let source = passed(tensor)
      guard let node = producers[source], node.type == name, node.output == source,
        let inputs = operands(of: node), inputs.count == arguments.count
      else { return false }
      func match(_ inputs: [String], _ found: inout Captures) -> Bool {
        for (input, argument) in zip(inputs, arguments) where !matches(input, argument, &found) {
          return false
        }
        return true
      }
      let before = found
      if match(inputs, &found) { return true }
      found = before
      guard ["Add", "Mul", "Max", "Min"].contains(name) else { return false }
      if match(inputs.reversed(), &found) { return true }
      found = before
      return false
    }
  }

  /// The inputs of a node in a formula; nil where an attribute makes it another function.
  private func operands(of node: Node) -> [String]? {
    guard node.type == "ReduceMean" else {
      let isPlain = node.proto.attribute.allSatisfy { node.opset < 7 && Attributes.old.contains($0.name) }
      return isPlain ? Array(node.proto.input) : nil
    }
    // Over the features of a row, which stay a dimension.
    guard let axes = try? integers(node, 1, "axes"), axes == [-1] || axes == [1],
      node.proto.attribute.first(where: { $0.name == "keepdims" })?.i ?? 1 == 1
    else { return nil }
    return [node.proto.input[0]]
  }
}
