import Chainrule

/// Writes an explanation as text for a terminal, as a tutorial writes a training step by hand.
///
///     z₁ = w₁₁·x₁ + w₁₂·x₂ = 0.12·2 + 0.33·3 = 1.23
///
/// The numbers shown are rounded; those computed with are not. Lines have 80 columns at most.
public struct TextRendering: Sendable {
  /// How many significant digits a number shows, 1 … 17.
  public var digits: Int
  /// Whether every step, row, neuron and weight is shown, or the first few and how many there are more.
  public var showsAll: Bool
  /// The row of each batch that is shown in full, counted from 0.
  public var sample: Int

  /// Six digits, of long lists the first few, and of a batch the first row.
  public init(digits: Int = 6, showsAll: Bool = false, sample: Int = 0) {
    self.digits = digits
    self.showsAll = showsAll
    self.sample = sample
  }

  /// The whole text, its last line ended.
  public func callAsFunction(_ explanation: Explanation) -> String { text(explanation, width: 80) }

  func text(_ explanation: Explanation, width: Int) -> String {
    let walkthrough = Walkthrough(explanation, sample: sample)
    var lines = TextLines(
      abbreviation: Abbreviation(showsAll: showsAll), digits: digits, width: width)
    if let title = walkthrough.title { lines.paragraph(title, depth: 0) }
    for block in walkthrough.blocks { lines.write(block, depth: 0) }
    lines.line("", depth: 0)
    lines.paragraph("Numbers are shown with \(digits) significant digits and computed with all.", depth: 0)
    if lines.elides {
      lines.paragraph("“…” stands for what is left out; with --all it is shown.", depth: 0)
    }
    return lines.text
  }
}

/// How much of long lists, sums and matrices a rendering shows.
struct Abbreviation {
  var showsAll = false
  /// The widest layer and the longest sum that are shown whole.
  static let width = 8
  /// How many are shown of wider ones.
  static let few = 3

  /// The elements of a list that are shown, from its first.
  func shown(_ list: Walkthrough.List) -> Range<Int> {
    if showsAll { return 0..<list.count }
    let limit =
      switch list.kind {
      case .steps, .rows: 1
      case .neurons, .weights, .parameters: list.count > Self.width ? Self.few : list.count
      }
    return list.first..<min(list.first + limit, list.count)
  }

  func formula(digits: Int) -> FormulaText {
    FormulaText(digits: digits, terms: showsAll ? .max : Self.width)
  }

  /// The rows or columns of a matrix that are shown; nil stands for those between.
  func places(_ count: Int, atMost most: Int = .max) -> [Int?] {
    let most = showsAll ? most : min(most, Self.width)
    if count <= most { return Array(0..<count) }
    return (0..<max(1, most - 2)).map { $0 } + [nil, count - 1]
  }
}

/// The lines of a text, wrapped.
struct TextLines {
  let abbreviation: Abbreviation
  let digits: Int
  let width: Int
  var text = ""
  var elides = false

  private var formula: FormulaText { abbreviation.formula(digits: digits) }

  mutating func line(_ line: String, depth: Int) {
    text += line.isEmpty ? "\n" : "\(String(repeating: " ", count: 2 * depth))\(line)\n"
  }

  /// Prose, wrapped at spaces.
  mutating func paragraph(_ prose: String, depth: Int) {
    for line in wrapped(prose.split(separator: " ").map(String.init), depth: depth, hanging: 0) {
      self.line(line, depth: depth)
    }
  }

  mutating func write(_ block: Walkthrough.Block, depth: Int) {
    switch block {
    case .section(let title, let blocks):
      writeTitle(title, depth: depth)
      for block in blocks { write(block, depth: depth + 1) }
    case .paragraph(let prose): paragraph(prose, depth: depth)
    case .formulas(let formulas): write(formulas, depth: depth)
    case .equation(let equation): write(equation, depth: depth)
    case .matrices(let matrices): write(matrices, depth: depth)
    case .vector(let name, let values):
      if values.count > formula.terms { elides = true }
      math("\(name) = \(formula.vector(values))", depth: depth)
    case .change(let name, let from, let to):
      math("\(name): \(formula.number(from)) → \(formula.number(to))", depth: depth)
    case .definitions(let definitions): write(definitions, depth: depth)
    case .table(let table): write(table, depth: depth)
    case .list(let list): write(list, depth: depth)
    }
  }

  private mutating func writeTitle(_ title: String, depth: Int) {
    if depth < 2 { line("", depth: 0) }
    if depth == 0 {
      return line(
        "── \(title) \(String(repeating: "─", count: max(0, self.width - 4 - title.count)))", depth: 0)
    }
    line(title, depth: depth)
  }

  /// Formulas side by side as far as they fit.
  private mutating func write(_ formulas: [String], depth: Int) {
    var current = ""
    for formula in formulas {
      let longer = current.isEmpty ? formula : "\(current),  \(formula)"
      if !current.isEmpty && longer.count + 1 > self.width - 2 * depth {
        math(current + ",", depth: depth)
        current = formula
      } else {
        current = longer
      }
    }
    math(current, depth: depth)
  }

  private mutating func write(_ equation: Walkthrough.Equation, depth: Int) {
    let value = formula.number(equation.value)
    let symbols = equation.symbols.map { formula($0) }
    let numbers = formula(equation.numbers)
    if numbers.contains("…") { elides = true }
    var sides: [String] = []
    if let symbols, symbols != numbers { sides.append(symbols) }
    if numbers != value { sides.append(numbers) }
    sides.append(value)
    let first = "\(equation.name) \(equation.relation.rawValue) "
    let whole = first + sides.joined(separator: " = ")
    if whole.count <= width - 2 * depth || sides.count < 3 { return math(whole, depth: depth) }
    // The symbols on a line of their own, the numbers below them.
    math(first + sides[0], depth: depth)
    let blank = String(repeating: " ", count: min(equation.name.count + 1, 14))
    math("\(blank)= \(sides[1...].joined(separator: " = "))", depth: depth)
  }

  private mutating func write(_ definitions: [(term: String, meaning: String)], depth: Int) {
    let column = (definitions.map(\.term.count).max() ?? 0) + 2
    for (term, meaning) in definitions {
      let indent = String(repeating: " ", count: column - term.count)
      let words = meaning.split(separator: " ").map(String.init)
      let lines = wrapped(words, depth: depth, hanging: 0, width: self.width - 2 * depth - column)
      for (place, line) in lines.enumerated() {
        self.line(
          (place == 0 ? term + indent : String(repeating: " ", count: column)) + line, depth: depth)
      }
    }
  }

  private mutating func write(_ table: Walkthrough.Table, depth: Int) {
    let shown = abbreviation.shown(table.rows)
    let rows = shown.map { row in
      let (name, values) = table.row(row)
      return [name] + values.map(formula.number)
    }
    // Columns that do not fit go below, under the names again.
    let widths = table.header.indices.map { column in
      ([table.header[column]] + rows.map { $0[column] }).map(\.count).max()!
    }
    var from = 1
    while from < table.header.count {
      var (to, width) = (from, widths[0])
      while to < table.header.count, to == from || width + 2 + widths[to] <= self.width - 2 * depth {
        width += 2 + widths[to]
        to += 1
      }
      for cells in [table.header] + rows {
        let name = cells[0] + String(repeating: " ", count: widths[0] - cells[0].count)
        let rest = (from..<to).map { column in
          String(repeating: " ", count: widths[column] - cells[column].count) + cells[column]
        }
        line(([name] + rest).joined(separator: "  "), depth: depth)
      }
      from = to
    }
    writeRest(of: table.rows, shown, depth: depth)
  }

  private mutating func write(_ list: Walkthrough.List, depth: Int) {
    let shown = abbreviation.shown(list)
    for index in shown {
      for block in list.element(index) { write(block, depth: depth) }
    }
    writeRest(of: list, shown, depth: depth)
  }

  private mutating func writeRest(of list: Walkthrough.List, _ shown: Range<Int>, depth: Int) {
    if shown.count == list.count { return }
    elides = true
    let rest = list.count - shown.count
    let kind = rest == 1 ? String(list.kind.rawValue.dropLast()) : list.kind.rawValue
    line("… \(rest) more \(kind)", depth: depth)
  }

  // MARK: Wrapping

  /// A formula, wrapped before operators, with what follows under its right-hand side.
  mutating func math(_ text: String, depth: Int) {
    let relation = text.firstIndex { "=←:".contains($0) }
    let hanging = min(relation.map { text.distance(from: text.startIndex, to: $0) + 2 } ?? 2, 16)
    for line in wrapped(Self.pieces(text), depth: depth, hanging: hanging) { self.line(line, depth: depth) }
  }

  /// Pieces of a formula that stay together: a line may break before an operator, or after a comma.
  private static func pieces(_ text: String) -> [String] {
    var pieces: [String] = []
    for word in text.split(separator: " ", omittingEmptySubsequences: false).map(String.init) {
      if let last = pieces.last,
        ["=", "←", "+", "−", "→", "<", ">", "…"].contains(last.split(separator: " ").last)
      {
        pieces[pieces.count - 1] = "\(last) \(word)"
      } else {
        pieces.append(word)
      }
    }
    return pieces
  }

  /// Lines of at most `width` columns. A piece that is too long breaks before a "·", "/" or "(".
  private func wrapped(_ pieces: [String], depth: Int, hanging: Int, width: Int? = nil) -> [String] {
    let width = width ?? self.width - 2 * depth
    var lines: [String] = []
    var current = ""
    func indent() -> String { String(repeating: " ", count: hanging) }
    for piece in pieces {
      var piece = piece
      let longer = current.isEmpty ? piece : "\(current) \(piece)"
      if longer.count <= width {
        current = longer
        continue
      }
      if !current.isEmpty && !current.allSatisfy({ $0 == " " }) {
        lines.append(current)
        current = ""
      }
      current = lines.isEmpty ? piece : indent() + piece
      while current.count > width {
        let limit = current.index(current.startIndex, offsetBy: width)
        let start = current.firstIndex { $0 != " " }!
        let isBreak: (Character) -> Bool = { "·/(".contains($0) }
        let cut = current[current.index(after: start)..<limit].lastIndex(where: isBreak) ?? limit
        lines.append(String(current[..<cut]))
        piece = String(current[cut...])
        current = indent() + piece
      }
    }
    if !current.isEmpty { lines.append(current) }
    return lines
  }
}
