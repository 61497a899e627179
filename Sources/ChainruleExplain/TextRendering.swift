import Chainrule

/// Writes an explanation as text, as a tutorial writes a training step by hand.
///
///     z₁ = 0.12·2 + 0.33·3 = 1.23
///
/// The numbers shown are rounded; those computed with are not.
public struct TextRendering: Sendable {
  /// How many significant digits a number shows, 1 … 17.
  public var digits: Int
  /// Whether every batch, row, neuron and weight is shown, or the first few and how many there are more.
  public var showsAll: Bool

  /// Six digits, and of long lists the first few.
  public init(digits: Int = 6, showsAll: Bool = false) {
    self.digits = digits
    self.showsAll = showsAll
  }

  /// The whole text, its last line ended.
  public func callAsFunction(_ explanation: Explanation) -> String {
    var lines = Lines(rendering: self)
    lines.writeHead(explanation)
    for block in Walkthrough(explanation).blocks { lines.write(block, depth: 0) }
    lines.writeFoot(explanation)
    return lines.text
  }

  func limit(_ kind: Walkthrough.List.Kind) -> Int {
    if showsAll { return .max }
    return switch kind {
    case .batches: 1
    case .rows: 2
    case .neurons, .weights: 3
    }
  }

  var formula: FormulaText { FormulaText(digits: digits, terms: showsAll ? .max : 6) }
}

private struct Lines {
  static let width = 100

  let rendering: TextRendering
  var text = ""
  var elides = false

  mutating func write(_ line: String, depth: Int = 0) {
    text += line.isEmpty ? "\n" : "\(String(repeating: "  ", count: depth))\(line)\n"
  }

  mutating func writeHead(_ explanation: Explanation) {
    let formula = rendering.formula
    let layers = explanation.layers.map(\.description)
    if let name = explanation.name { write(name) }
    let inputs = "\(explanation.inputs) input\(explanation.inputs == 1 ? "" : "s")"
    let numbers = explanation.optimizer.symbols.map { "\($0.symbol) = \(formula.number($0.value))" }
    write("Network    \(([inputs] + layers).joined(separator: " → ")), \(explanation.scalar)")
    write("Loss       \(explanation.loss)")
    write("Optimizer  \(explanation.optimizer.name), \(numbers.joined(separator: ", "))")
    if explanation.regularization.labelSmoothing > 0 {
      write("Targets    smoothed, s = \(formula.number(explanation.regularization.labelSmoothing))")
    }
    let bounds = [
      explanation.regularization.gradientClipNorm.map { "‖g‖ to \(formula.number($0))" },
      explanation.regularization.gradientClipValue.map { "each to ±\(formula.number($0))" },
    ].compactMap(\.self)
    if !bounds.isEmpty { write("Gradients  clipped, \(bounds.joined(separator: ", then "))") }
    write("Numbers    shown with \(rendering.digits) significant digits, computed with all")
  }

  mutating func writeFoot(_ explanation: Explanation) {
    if let agreement = explanation.agreement {
      let place = agreement.place.map { ", in \($0)" } ?? ""
      let error = FormulaText(digits: 2).number(agreement.worstError)
      write("")
      write("Worst relative error to what the file expects: \(error)\(place)")
    }
    if elides {
      write("")
      write("“…” stands for what is left out; with --all it is shown.")
    }
  }

  mutating func write(_ block: Walkthrough.Block, depth: Int) {
    let formula = rendering.formula
    switch block {
    case .section(let title, let formulas, let blocks):
      writeTitle(title, formulas, depth: depth)
      for block in blocks { write(block, depth: depth + 1) }
    case .equation(let name, let relation, let derivation, let value):
      let value = formula.number(value)
      let numbers = formula(derivation)
      if numbers.contains("…") { elides = true }
      let middle = numbers == value ? "" : " \(relation.rawValue) \(numbers)"
      write("\(name)\(middle) = \(value)", depth: depth)
    case .vector(let name, let values):
      if values.count > formula.terms { elides = true }
      write("\(name) = \(formula.vector(values))", depth: depth)
    case .change(let name, let from, let to):
      write("\(name): \(formula.number(from)) → \(formula.number(to))", depth: depth)
    case .list(let list):
      write(list, depth: depth)
    }
  }

  /// A list that is one element too long is shown whole: "… 1 more" takes the place as well.
  private mutating func write(_ list: Walkthrough.List, depth: Int) {
    let limit = rendering.limit(list.kind)
    let shown = list.count - 1 > limit ? limit : list.count
    for index in 0..<shown {
      for block in list.element(index) { write(block, depth: depth) }
    }
    if shown < list.count {
      elides = true
      write("… \(list.count - shown) more \(list.kind)", depth: depth)
    }
  }

  /// The title with the formulas on the same line, or below it if the line would be too long.
  private mutating func writeTitle(_ title: String, _ formulas: [String], depth: Int) {
    if depth < 2 { write("") }
    if depth == 0 {
      write("── \(title) \(String(repeating: "─", count: max(0, Lines.width - 4 - title.count)))")
      for formula in formulas { write(formula, depth: 1) }
      return
    }
    let line = formulas.isEmpty ? title : "\(title):  \(formulas.joined(separator: ",  "))"
    if line.count + 2 * depth <= Lines.width { return write(line, depth: depth) }
    write("\(title):", depth: depth)
    for formula in formulas { write(formula, depth: depth + 2) }
  }
}
