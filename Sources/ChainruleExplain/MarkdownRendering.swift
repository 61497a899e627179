import Chainrule

/// Writes an explanation as Markdown with LaTeX, as GitHub shows both.
public struct MarkdownRendering: Sendable {
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

  /// The whole page, its last line ended.
  public func callAsFunction(_ explanation: Explanation) -> String {
    let walkthrough = Walkthrough(explanation, sample: sample)
    var page = MarkdownPage(abbreviation: Abbreviation(showsAll: showsAll), digits: digits)
    page.paragraph("# " + MarkdownPage.escaped(walkthrough.title ?? "A training step"))
    for block in walkthrough.blocks { page.write(block, level: 2) }
    page.flush()
    page.paragraph("Numbers are shown with \(digits) significant digits and computed with all.")
    return page.text
  }
}

private struct MarkdownPage {
  let abbreviation: Abbreviation
  let digits: Int
  var text = ""
  /// Equations that stand under each other, in LaTeX, for one block.
  private var equations: [String] = []

  init(abbreviation: Abbreviation, digits: Int) {
    self.abbreviation = abbreviation
    self.digits = digits
  }

  private var formula: FormulaText { abbreviation.formula(digits: digits) }

  mutating func paragraph(_ line: String) { text += (text.isEmpty ? "" : "\n") + line + "\n" }

  /// Writes the equations that wait.
  mutating func flush() {
    if equations.isEmpty { return }
    paragraph("```math\n\\begin{aligned}\n\(equations.joined(separator: " \\\\\n"))\n\\end{aligned}\n```")
    equations = []
  }

  mutating func write(_ block: Walkthrough.Block, level: Int) {
    switch block {
    case .formulas, .equation, .vector, .change: break
    case .list(let list):
      if ![.steps, .rows].contains(list.kind) { break }
      flush()
    case .section, .paragraph, .matrices, .definitions, .table: flush()
    }
    switch block {
    case .section(let title, let blocks):
      paragraph(String(repeating: "#", count: min(level, 6)) + " " + Self.escaped(title))
      for block in blocks { write(block, level: level + 1) }
      flush()
    case .paragraph(let prose): paragraph(Self.escaped(prose))
    case .formulas(let formulas): for formula in formulas { equations.append(aligned(formula)) }
    case .equation(let equation): write(equation)
    case .matrices(let matrices): write(matrices)
    case .vector(let name, let values):
      equations.append(aligned("\(name) = \(formula.vector(values))"))
    case .change(let name, let from, let to):
      equations.append(
        "\(LaTeX.of(name)) &: \(LaTeX.of("\(formula.number(from)) → \(formula.number(to))"))")
    case .definitions(let definitions):
      paragraph("| | |\n|---|---|")
      for (term, meaning) in definitions { text += "| \(Self.cell(term)) | \(Self.escaped(meaning)) |\n" }
    case .table(let table): write(table)
    case .list(let list): write(list, level: level)
    }
  }

  /// The formula with a mark before its relation, at which those under each other are aligned.
  private func aligned(_ formula: String) -> String {
    for relation in ["=", "←"] {
      guard let place = formula.firstRange(of: " \(relation) ") else { continue }
      let sign = relation == "=" ? "=" : "\\leftarrow"
      return "\(LaTeX.of(String(formula[..<place.lowerBound]))) &\(sign) "
        + LaTeX.of(String(formula[place.upperBound...]))
    }
    return "&\(LaTeX.of(formula))"
  }

  private mutating func write(_ equation: Walkthrough.Equation) {
    let value = formula.number(equation.value)
    let numbers = formula(equation.numbers)
    var sides = equation.symbols.map { [formula($0)] } ?? []
    if numbers != value && numbers != sides.last { sides.append(numbers) }
    sides.append(value)
    let relation = equation.relation == .equals ? "=" : "\\leftarrow"
    let length = sides.map(\.count).reduce(0, +)
    let separator = length > 90 ? " \\\\\n&= " : " = "
    equations.append(
      "\(LaTeX.of(equation.name)) &\(relation) \(sides.map(LaTeX.of).joined(separator: separator))")
  }

  private mutating func write(_ equation: Walkthrough.MatrixEquation) {
    let terms = equation.terms.map { sign, matrix in
      let rows = abbreviation.places(matrix.count)
      let columns = abbreviation.places(matrix.first?.count ?? 0)
      let lines = rows.map { row in
        columns.map { column in
          guard let row else { return column == nil ? "\\ddots" : "\\vdots" }
          return column.map { LaTeX.of(formula.number(matrix[row][$0])) } ?? "\\cdots"
        }.joined(separator: " & ")
      }
      let sign = sign == "·" ? "" : sign
      return "\(sign)\\begin{bmatrix} \(lines.joined(separator: " \\\\ ")) \\end{bmatrix}"
    }
    paragraph(
      "```math\n\(LaTeX.of(equation.symbols)):\\quad \(terms.joined(separator: "\n"))\n```")
  }

  private mutating func write(_ table: Walkthrough.Table) {
    let header = table.header.map { $0.isEmpty ? "" : Self.cell($0) }
    paragraph("| \(header.joined(separator: " | ")) |")
    text += "|---|\(String(repeating: "---:|", count: header.count - 1))\n"
    let shown = abbreviation.shown(table.rows)
    for row in shown {
      let (name, values) = table.row(row)
      let cells = [Self.cell(name)] + values.map(formula.number)
      text += "| \(cells.joined(separator: " | ")) |\n"
    }
    writeRest(of: table.rows, shown)
  }

  private mutating func write(_ list: Walkthrough.List, level: Int) {
    let shown = abbreviation.shown(list)
    for index in shown { for block in list.element(index) { write(block, level: level) } }
    writeRest(of: list, shown)
  }

  private mutating func writeRest(of list: Walkthrough.List, _ shown: Range<Int>) {
    if shown.count == list.count { return }
    flush()
    let rest = list.count - shown.count
    paragraph("… \(rest) more \(rest == 1 ? String(list.kind.rawValue.dropLast()) : list.kind.rawValue)")
  }

  /// A symbol as mathematics, a word as it is.
  private static func cell(_ term: String) -> String {
    let isWord = term.count > 3 && term.allSatisfy { $0.isASCII && $0.isLetter }
    return isWord ? term : "$`\(LaTeX.of(term).replacing("|", with: "\\vert "))`$"
  }

  /// Prose of a file or of the text, of which nothing is markup.
  static func escaped(_ prose: String) -> String {
    String(
      prose.flatMap { character -> [Character] in
        if "\\`*_[]<>|#$~".contains(character) { return ["\\", character] }
        return character.isNewline ? [" "] : [character]
      })
  }
}
