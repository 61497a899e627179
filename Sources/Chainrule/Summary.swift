extension Network: CustomStringConvertible {
  /// Returns a table of the layers, their sizes and the numbers of their parameters, one line each:
  ///
  ///     float32, 4 inputs, 3 outputs, 67 parameters
  ///     1  8 tanh     4 → 8  40
  ///     2  3 softmax  8 → 3  27
  public func summary() -> String { core.summary }

  /// The same text as ``summary()``.
  public var description: String { core.summary }
}

extension Model: CustomStringConvertible {
  /// Returns a table of the layers, their sizes and the numbers of their parameters; see
  /// ``Network/summary()``.
  public func summary() -> String { core.summary }

  /// The same text as ``summary()``.
  public var description: String { core.summary }
}

extension CoreNetwork {
  fileprivate var summary: String {
    func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
    let layers = layers
    var inputs = inputs
    let lines = layers.enumerated().map { index, layer in
      let units = layer.units ?? inputs
      defer { inputs = units }
      return [
        "\(index + 1)", "\(layer)", "\(inputs) → \(units)", "\(parameterCount(ofLayer: index))",
      ]
    }
    let widths = (0..<4).map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.reduce(
      "\(Scalar.scalarType.rawValue), \(counted(self.inputs, "input")), \(counted(outputs, "output")), "
        + counted(parameterCount, "parameter")
    ) { text, line in
      text + "\n"
        + zip(line, widths).enumerated().map { column, cell in
          let spaces = String(repeating: " ", count: cell.1 - cell.0.count)
          return column == 0 || column == 3 ? spaces + cell.0 : cell.0 + spaces
        }.joined(separator: "  ")
    }
  }
}
