/// Decides whether the first row of a table has the names of its columns, by comparing each of its cells with
/// the other cells of the column.
struct CSVHeader {
  let isHeader: Bool
  /// A note if the decision may be wrong; `nil` if it is certain.
  let note: String?

  /// Evidence in a column, for a header or against it.
  private enum Sign {
    /// A text above numbers or dates, or a name that the options give.
    case name
    /// Evidence that is more common for names than for values: a whole number above fractions, a quoted cell
    /// above others.
    case likelyName
    /// A value that is repeated below, or a number with a fraction above numbers.
    case value
  }

  /// The maximum number of rows to inspect, and of their bytes. The limits are the same as for a file that is
  /// read part by part.
  private static let (sampleSize, sampleBytes) = (1000, CSVReader.lookAhead)

  /// Inspects the rows that begin at `starts`. The first of them may be the header.
  init(
    rowsAt starts: [Int], columns: Int, scanner: CSVScanner, options: CSVOptions
  ) throws(ChainruleError) {
    let first = try scanner.fields(ofRowAt: starts[0]).prefix(columns)
    switch options.header {
    case .yes: (isHeader, note) = (true, nil)
    case .no: (isHeader, note) = (false, nil)
    case .automatic
    where !options.expectedNames.isEmpty && Self.hasAll(options.expectedNames, first, scanner):
      (isHeader, note) = (true, nil)
    case .automatic:
      let ends = starts[1...].dropFirst() + [scanner.bytes.count]
      let near = zip(starts[1...], ends).prefix { $1 <= Self.sampleBytes }.count
      let sample = starts[1...].prefix(min(max(near, 1), Self.sampleSize))
      let cells = try Self.columns(first: Array(first), rowsAt: sample, columns, scanner, options)
      let signs = cells.compactMap(\.sign)
      let names = signs.filter { $0 == .name }.count
      let likely = signs.filter { $0 == .likelyName }.count + (Self.areNumbered(cells) ? 1 : 0)
      let values = signs.filter { $0 == .value }.count
      isHeader =
        sample.isEmpty ? !options.expectsNoNames && cells.contains(where: \.isText) : names + likely > values
      let shown = first.prefix(6).map { String(decoding: scanner.bytes[$0.content], as: UTF8.self) }
      let row = enumeration(shown) + (first.count > 6 ? ", …" : "")
      // Certain if there are only names, or nothing that looks like a name.
      if names > 0 && values == 0 && cells.allSatisfy({ $0.isText || $0.isEmpty }) || names + likely == 0 {
        note = nil
      } else {
        note =
          isHeader
          ? "the first row (\(row)) is taken as the header; if it holds values: --no-header"
          : "the first row (\(row)) is taken as values; if it names the columns: --header"
      }
    }
  }

  /// Whether the names that a row would give the columns include all of `names`.
  private static func hasAll(_ names: [String], _ row: ArraySlice<CSVScanner.Field>, _ scanner: CSVScanner)
    -> Bool
  {
    let titles = row.enumerated().map { (try? scanner.text($1, column: $0 + 1)) ?? "" }
    let cells = Set(uniqueNames(titles).names.map(ExactText.init))
    return names.allSatisfy { cells.contains(ExactText($0)) }
  }

  /// The evidence in one column.
  private struct Column {
    /// In the first row.
    var number: Double?
    var isText = false
    var isEmpty = false
    var isFraction = false
    var isNamed = false
    var isQuoted = false
    var content: ArraySlice<UInt8> = []
    /// In the rows below.
    var numbers = 0
    var fractions = 0
    var texts = 0
    var dates = 0
    var quoted = 0
    var recurs = false
    var counts = true
    var distinct: Set<ArraySlice<UInt8>> = []
    var last: Double?

    var sign: Sign? {
      if isNamed { return .name }
      let present = numbers + texts + dates
      if isEmpty { return counts && numbers > 0 && texts == 0 ? .likelyName : nil }
      if isText {
        if texts == 0, numbers + dates > 0 { return .name }
        if recurs { return .value }
        if isQuoted, quoted == 0, present > 0 { return .likelyName }
        if texts > 0, numbers > 2 * texts { return .likelyName }
        return present > 3 && distinct.count * 2 <= present ? .likelyName : nil
      }
      guard number != nil, numbers > 0, texts == 0 else { return nil }
      if isFraction { return .value }
      if isQuoted, quoted == 0 { return .likelyName }
      return numbers > 2 && fractions == numbers ? .likelyName : nil
    }
  }

  private static func columns(
    first: [CSVScanner.Field], rowsAt sample: ArraySlice<Int>, _ count: Int, _ scanner: CSVScanner,
    _ options: CSVOptions
  ) throws(ChainruleError) -> [Column] {
    let named = Set(
      (options.target + (options.features ?? []) + options.ignored + options.categorical + options.kept
        + [options.id, options.weights].compactMap(\.self)).filter { Int($0) == nil }.map(ExactText.init))
    let missing = MissingCells(options.missingTexts)
    var columns: [Column] = []
    for (index, field) in first.enumerated() {
      let content = scanner.bytes[field.content]
      var column = Column()
      column.number = scanner.number(field)
      column.content = content
      column.isQuoted = field.isQuoted
      column.isEmpty = content.isEmpty
      column.isFraction = column.number != nil && content.contains { !isDigitOrSign($0) }
      column.isText = column.number == nil && !missing.contain(content) && !scanner.isNotFinite(field)
      column.isNamed = try named.contains(ExactText(scanner.text(field, column: index + 1)))
      columns.append(column)
    }
    let all = Array(0..<count)
    for start in sample {
      try scanner.forEachField(row: start, columns: all) { (index, field) throws(ChainruleError) in
        let content = scanner.bytes[field.content]
        if field.isQuoted { columns[index].quoted += 1 }
        if let number: Double = scanner.number(field) {
          columns[index].numbers += 1
          if content.contains(where: { !isDigitOrSign($0) }) { columns[index].fractions += 1 }
          if let last = columns[index].last, number != last + 1 { columns[index].counts = false }
          columns[index].last = number
        } else if !missing.contain(content) {
          if ISODate.days(in: content) != nil { columns[index].dates += 1 } else { columns[index].texts += 1 }
          if columns[index].distinct.count <= sampleSize / 2 { columns[index].distinct.insert(content) }
        }
        if columns[index].isText, content.elementsEqual(columns[index].content) {
          columns[index].recurs = true
        }
      }
    }
    return columns
  }

  /// Whether the first row counts 0, 1, 2 …, as pandas names the columns of an array, possibly after an empty
  /// cell, or has consecutive years; and the last row does not count in the same way.
  private static func areNumbered(_ columns: [Column]) -> Bool {
    let named = columns.first?.isEmpty == true ? columns.dropFirst() : columns[...]
    let numbers = named.compactMap(\.number)
    guard numbers.count > 1, numbers.count == named.count, named.allSatisfy({ !$0.isFraction }) else {
      return false
    }
    func areConsecutive(_ numbers: [Double]) -> Bool {
      zip(numbers, numbers.dropFirst()).allSatisfy { $1 == $0 + 1 }
    }
    return areConsecutive(numbers) && (numbers[0] == 0 || 1800...2200 ~= numbers[0])
      && !areConsecutive(named.compactMap(\.last))
  }

  private static func isDigitOrSign(_ byte: UInt8) -> Bool {
    UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+")
  }
}

/// Returns the names of the columns of a header: a column without a name gets its number, and a repeated name
/// gets the suffix ".1", ".2" …, as in pandas.
func uniqueNames(_ header: [String]) -> (names: [String], repeated: [String]) {
  var (names, repeated): ([String], [String]) = ([], [])
  var taken = Set(header.map(ExactText.init))
  var seen: Set<ExactText> = []
  for (index, title) in header.enumerated() {
    var name = title.isEmpty ? "column \(index + 1)" : title
    if title.isEmpty || !seen.insert(ExactText(title)).inserted {
      var number = 0
      while taken.contains(ExactText(name)) {
        number += 1
        name = "\(title.isEmpty ? "column \(index + 1)" : title).\(number)"
      }
      taken.insert(ExactText(name))
      if !title.isEmpty { repeated.append(title) }
    }
    names.append(name)
  }
  return (names, repeated)
}
