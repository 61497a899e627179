import Chainrule
internal import SwiftProtobuf

// Recognises groups of nodes that compute one of the formulas in ActivationFormulas.swift.

extension Graph {
  /// Returns the step of nodes that compute a known formula; `nil` if they do not.
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

  /// The tensors and numbers that the symbols of a formula stand for.
  private struct Captures {
    var z: String?
    var parameters: [String: Constant] = [:]
  }

  /// Whether `tensor` is the formula's value for some z, which `found` then names.
  private func matches(_ tensor: String, _ formula: Formula, _ found: inout Captures) -> Bool {
    if let expected = formula.value {
      guard let value = number(tensor) ?? equalNumbers(tensor) else { return false }
      return isClose(value, expected)
    }
    let source = passed(tensor)
    switch formula {
    case "z":
      guard constants[source] == nil, found.z == nil || found.z == source else { return false }
      found.z = source
      return true
    case .symbol(let parameter):
      guard let constant = constants[tensor] else { return false }
      guard let before = found.parameters.updateValue(constant, forKey: parameter) else { return true }
      return before.name == constant.name
        || (number(before.name) != nil && number(before.name) == number(tensor))
    case .cases(let condition, let first, let second):
      guard let (greater, less, whenGreater, whenLess) = choice(source) else { return false }
      let sides = [condition.left, condition.right]
      return match([greater, less, whenGreater, whenLess], sides + [first, second], &found)
        || match([less, greater, whenLess, whenGreater], sides + [first, second], &found)
    default:
      guard let node = producers[source], node.output == source, let inputs = operands(of: node) else {
        return false
      }
      return formula.nodes(for: .float32).contains { type, operands in
        guard type == node.type, operands.count == inputs.count else { return false }
        let commutes = ["Add", "Mul", "Max", "Min"].contains(type)
        return match(inputs, operands, &found) || commutes && match(inputs.reversed(), operands, &found)
      }
    }
  }

  /// Whether each tensor is the value of its formula; if not, `found` does not change.
  private func match(_ tensors: [String], _ formulas: [Formula], _ found: inout Captures) -> Bool {
    let before = found
    for (tensor, formula) in zip(tensors, formulas) where !matches(tensor, formula, &found) {
      found = before
      return false
    }
    return true
  }

  /// For a Where with a comparison, returns the greater and the smaller operand, and the result for each
  /// outcome. Equality may have either result, because the known formulas are continuous there.
  private func choice(_ tensor: String) -> (
    greater: String, less: String, whenGreater: String, whenLess: String
  )? {
    guard let node = producers[tensor], node.type == "Where", node.output == tensor,
      let inputs = operands(of: node),
      inputs.count == 3
    else { return nil }
    let condition = passed(inputs[0])
    guard let comparison = producers[condition], let sides = operands(of: comparison), sides.count == 2 else {
      return nil
    }
    switch comparison.type {
    case "Greater", "GreaterOrEqual": return (sides[0], sides[1], inputs[1], inputs[2])
    case "Less", "LessOrEqual": return (sides[1], sides[0], inputs[1], inputs[2])
    default: return nil
    }
  }

  /// Returns the inputs of a node in a formula; `nil` if an attribute makes it another function.
  private func operands(of node: Node) -> [String]? {
    guard node.type == "ReduceMean" else {
      let isPlain = node.proto.attribute.allSatisfy { node.opset < 7 && Attributes.old.contains($0.name) }
      return isPlain ? Array(node.proto.input) : nil
    }
    // Over the features of a row, with the dimension kept.
    guard let axes = try? integers(node, 1, "axes"), axes == [-1] || axes == [1],
      node.proto.attribute.first(where: { $0.name == "keepdims" })?.i ?? 1 == 1
    else { return nil }
    return [node.proto.input[0]]
  }
}
