// Matrices side by side, in lines of text.

extension TextLines {
  mutating func write(_ equation: Walkthrough.MatrixEquation, depth: Int) {
    let room = width - 2 * depth - 2
    line("In matrix form:", depth: depth)
    math(equation.symbols, depth: depth + 1)
    // As many on a line as fit, the next below.
    var group: [[String]] = []
    for (sign, matrix) in equation.terms {
      let box = box(matrix, sign: sign, room: room)
      if !group.isEmpty, group.map({ $0[0].count }).reduce(0, +) + box[0].count > room {
        write(group, depth: depth + 1)
        group = []
      }
      group.append(box)
    }
    write(group, depth: depth + 1)
  }

  private mutating func write(_ boxes: [[String]], depth: Int) {
    let height = boxes.map(\.count).max() ?? 0
    // Each in the middle.
    let tall = boxes.map { box -> [String] in
      let blank = String(repeating: " ", count: box[0].count)
      let above = (height - box.count) / 2
      return Array(repeating: blank, count: above) + box
        + Array(repeating: blank, count: height - box.count - above)
    }
    for row in 0..<height {
      var text = tall.map { $0[row] }.joined()
      while text.hasSuffix(" ") { text.removeLast() }
      line(text, depth: depth)
    }
  }

  /// The lines of one matrix, its operator before the middle one.
  private mutating func box(_ matrix: [[Double]], sign: String, room: Int) -> [String] {
    let number = FormulaText(digits: digits).number
    let rows = abbreviation.places(matrix.count)
    var columns = abbreviation.places(matrix.first?.count ?? 0)
    func cells(_ columns: [Int?]) -> [[String]] {
      rows.map { row in
        columns.map { column in
          guard let row else { return column == nil ? "⋱" : "⋮" }
          return column.map { number(matrix[row][$0]) } ?? "…"
        }
      }
    }
    func widths(_ cells: [[String]]) -> [Int] {
      columns.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
    }
    let lead = sign.isEmpty ? "" : sign == "·" ? "·" : " \(sign) "
    var texts = cells(columns)
    while lead.count + widths(texts).reduce(2, { $0 + $1 + 1 }) > room, columns.count > 3 {
      columns = abbreviation.places(matrix[0].count, atMost: columns.count - 1)
      texts = cells(columns)
    }
    // What is too wide for the line stays so with --all.
    if !abbreviation.showsAll && (rows.contains(nil) || columns.contains(nil)) { elides = true }
    let columnWidths = widths(texts)
    return texts.enumerated().map { place, row in
      let inner = zip(row, columnWidths).map { String(repeating: " ", count: $1 - $0.count) + $0 }
        .joined(separator: " ")
      let (left, right) =
        rows.count == 1
        ? ("[", "]") : place == 0 ? ("⎡", "⎤") : place == rows.count - 1 ? ("⎣", "⎦") : ("⎢", "⎥")
      let isMiddle = place == (rows.count - 1) / 2
      return (isMiddle ? lead : String(repeating: " ", count: lead.count)) + left + inner + right
    }
  }
}
