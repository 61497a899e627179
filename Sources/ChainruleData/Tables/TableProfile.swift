/// What the cells of one column are, over all rows that were looked at.
struct ColumnProfile: Sendable {
  enum Kind: Sendable { case empty, number, date, category }

  // How many cells there are of each sort.
  private(set) var missing = 0
  private(set) var numbers = 0
  /// Numbers that are not whole.
  private(set) var fractions = 0
  private(set) var dates = 0
  private(set) var texts = 0
  /// Whole numbers that a quantity is not written as: with a needless zero in front.
  private(set) var codes = 0
  /// Of the numbers, those of 2⁵³ and above, which a double may merge.
  private(set) var large = 0
  /// "inf" and numbers beyond a double.
  private(set) var infinite = 0

  // Of the numbers and the days of the dates.
  private(set) var minimum = Double.infinity
  private(set) var maximum = -Double.infinity
  private(set) var mean = 0.0
  /// Σ(x - mean)² (Welford 1962)
  private var squares = 0.0
  /// Different values, up to 21.
  private(set) var distinct: [Double] = []
  /// Whether each number is 1 more than the one before.
  private(set) var counts = true
  private var last: Double?
  private var sample: Reservoir

  /// How often each text occurs, a number's text too where `hasAllTexts`; nil where nobody asks for it, or there are too
  /// many.
  private(set) var occurrences: [ExactText: Int]?
  /// Whether no text was met before they were counted.
  private(set) var hasAllTexts: Bool
  /// Whether there are more than ``mostTexts``.
  private(set) var hasTooManyTexts = false

  /// The target that goes with each value, as hashes; nil where one value goes with two, or there are many values.
  private(set) var targetOfValue: [UInt64: UInt64]? = [:]
  /// Σ(x - mean)(y - mean of y)
  private var products = 0.0

  /// The most different texts that are counted.
  static let mostTexts = 65_537

  /// `collectsTexts` where every cell's text is asked for.
  init(collectsTexts: Bool, sampleSize: Int) {
    hasAllTexts = collectsTexts
    occurrences = collectsTexts ? [:] : nil
    sample = Reservoir(size: sampleSize)
  }

  var present: Int { numbers + dates + texts + codes + infinite }

  /// What the column is, by all its present cells. A few others among many dates, or different numbers, are slips of the
  /// pen, which do not make it one of categories, and neither does an infinite number.
  var kind: Kind {
    if present == 0 { return .empty }
    if dates > 0 {
      let others = present - dates
      return dates >= 2 && (others <= 1 || others * 10 <= dates) || others == 0 ? .date : .category
    }
    if numbers + infinite == present { return .number }
    let areSlips =
      codes == 0 && numbers >= 2 && (texts == 1 || texts * 10 <= numbers)
      && (fractions > 0 || distinct.count > 20)
    return areSlips ? .number : .category
  }

  /// Whether all present cells are whole numbers.
  var isWhole: Bool { numbers == present && fractions == 0 && present > 0 }

  var variance: Double { numbers + dates > 0 ? squares / Double(numbers + dates) : 0 }

  /// The middle number, exact for as many as the sample holds.
  var median: Double? { sample.median }
  /// The number that occurs most often in the sample.
  var mostFrequent: Double? { sample.mostFrequent }

  /// Makes room for a larger sample.
  mutating func reserve(_ count: Int) { sample.reserve(count) }

  mutating func takeMissing() { missing += 1 }

  mutating func take(_ number: Double, isDate: Bool = false, target: Target?) {
    if isDate { dates += 1 } else { numbers += 1 }
    if !isDate, number.magnitude >= 0x1p53 { large += 1 }
    if number < minimum { minimum = number }
    if number > maximum { maximum = number }
    if !isDate, number != number.rounded(.towardZero) { fractions += 1 }
    let distance = number - mean
    mean += distance / Double(numbers + dates)
    squares += distance * (number - mean)
    if let last, number != last + 1 { counts = false }
    last = number
    if distinct.count <= 20, !distinct.contains(number) { distinct.append(number) }
    sample.take(number)
    if let target {
      products += distance * target.distance
      if targetOfValue != nil { match(number.bitPattern, target.hash) }
    }
  }

  mutating func takeInfinite() { infinite += 1 }

  mutating func take(text: ArraySlice<UInt8>, isCode: Bool, target: Target?) {
    if isCode { codes += 1 } else { texts += 1 }
    if let target, targetOfValue != nil { match(Self.hash(text), target.hash) }
  }

  /// Counts the text of a cell that is not missing.
  mutating func count(_ text: ArraySlice<UInt8>) {
    guard !hasTooManyTexts else { return }
    if occurrences == nil {
      occurrences = [:]
      hasAllTexts = numbers + dates == 0
    }
    occurrences![ExactText(String(decoding: text, as: UTF8.self)), default: 0] += 1
    if occurrences!.count > Self.mostTexts { forgetTexts(asTooMany: true) }
  }

  mutating func forgetTexts(asTooMany tooMany: Bool) {
    occurrences = nil
    hasAllTexts = false
    hasTooManyTexts = tooMany
  }

  /// The texts of another look at the same cells.
  mutating func takeTexts(of other: ColumnProfile) {
    occurrences = other.occurrences
    hasAllTexts = other.hasAllTexts
    hasTooManyTexts = other.hasTooManyTexts
  }

  /// How to read the texts as numbers, where most of them are such with a comma; nil where they are not.
  var remedyForCommas: String? {
    guard let occurrences, texts > 0, numbers <= texts else { return nil }
    func count(_ format: NumberFormat?) -> Int {
      occurrences.reduce(0) { sum, entry in
        let bytes = Array(entry.key.text.utf8)
        let isNumber =
          bytes.contains(UInt8(ascii: ",")) && format?.number(in: bytes, bytes.indices) as Double? != nil
        return sum + (isNumber ? entry.value : 0)
      }
    }
    let grouped = count(try? NumberFormat(decimal: ".", thousands: ","))
    let decimal = count(try? NumberFormat(decimal: ",", thousands: nil))
    guard max(grouped, decimal) * 10 >= texts * 7 else { return nil }
    return grouped == decimal
      ? "--thousands , or --decimal ," : grouped > decimal ? "--thousands ," : "--decimal ,"
  }

  /// A date that ISO 8601 does not write so, where most of the texts are such; nil where they are not.
  var foreignDate: String? {
    guard let occurrences, texts > 0 else { return nil }
    let dates = occurrences.filter { isForeignDate(Array($0.key.text.utf8)) }
    guard dates.values.reduce(0, +) * 10 >= texts * 7 else { return nil }
    return dates.keys.min()?.text
  }

  private mutating func match(_ value: UInt64, _ target: UInt64) {
    if targetOfValue!.updateValue(target, forKey: value) ?? target != target || targetOfValue!.count > 64 {
      targetOfValue = nil
    }
  }

  /// Whether a number is more likely a label than a quantity, such as 007.
  static func isCode(_ cell: ArraySlice<UInt8>) -> Bool {
    cell.count > 1 && cell.first == UInt8(ascii: "0")
      && cell.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
  }

  /// FNV-1a
  static func hash(_ text: ArraySlice<UInt8>) -> UInt64 {
    text.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  /// |correlation| with the target, whose moments `target` has; 0 where either is constant.
  func correlation(with target: ColumnProfile) -> Double {
    let scale = (squares * target.squares).squareRoot()
    return scale > 0 && missing == 0 && present == target.present ? abs(products) / scale : 0
  }

  /// What goes with a row's cells.
  struct Target {
    var hash: UInt64
    /// y less the mean of the rows up to it.
    var distance: Double
  }
}

/// A random sample of numbers that come one by one (Vitter 1985, algorithm R), the same ones each time.
private struct Reservoir: Sendable {
  private let size: Int
  private var values: [Double] = []
  private var seen: UInt64 = 0
  private var generator = SplitMix64(seed: 0x7AB1_E5)

  init(size: Int) { self.size = size }

  mutating func reserve(_ count: Int) { values.reserveCapacity(count) }

  mutating func take(_ value: Double) {
    seen += 1
    if values.count < size {
      values.append(value)
    } else {
      let place = generator.next(below: seen)
      if place < UInt64(size) { values[Int(place)] = value }
    }
  }

  var median: Double? { values.isEmpty ? nil : ChainruleData.median(of: values.sorted()) }
  var mostFrequent: Double? { values.isEmpty ? nil : ChainruleData.mostFrequent(in: values.sorted()) }
}

/// What the columns of a table hold, found by looking at every cell once, part by part; and again at those columns whose
/// texts turned out to matter late.
struct TableProfile: Sendable {
  /// The columns, counted from 0, ascending.
  let columns: [Int]
  private(set) var profiles: [ColumnProfile]
  private(set) var rows = 0
  /// The most numbers of a column's sample, and for how many there is room.
  private let sampleSize: Int
  private var room = 0
  /// The place among ``columns`` of the one target, against which the others are held.
  private let target: Int?

  /// - Parameters:
  ///   - collecting: Those of `columns` the texts of which are wanted, also where they are numbers.
  ///   - target: The one target column, where there is one; it must be among `columns`.
  init(of columns: [Int], collecting: Set<Int>, target: Int? = nil) {
    let columns = columns.sorted()
    self.columns = columns
    self.target = target.flatMap { columns.firstIndex(of: $0) }
    // 32 MiB for all columns.
    let size = max(101, min(1 << 16, (1 << 22) / max(columns.count, 1)))
    sampleSize = size
    profiles = columns.map { ColumnProfile(collectsTexts: collecting.contains($0), sampleSize: size) }
  }

  subscript(column: Int) -> ColumnProfile { profiles[columns.firstIndex(of: column)!] }

  /// Whether cells of a column are missing.
  func lacks(_ column: Int) -> Bool {
    columns.firstIndex(of: column).map { profiles[$0].missing > 0 } ?? false
  }

  /// Takes the rows of a part into account.
  mutating func take(_ table: CSVTable) throws(ChainruleError) {
    for rows in blocks(of: 1024, in: table.rows) { try take(rowsOf: CSVTable(table, rows: rows)) }
  }

  private mutating func take(rowsOf table: CSVTable) throws(ChainruleError) {
    if case let wanted = min(rows + table.rows, sampleSize), wanted > room {
      room = min(max(wanted, 2 * room), sampleSize)
      try checkMemory(
        columns.count * room, of: Double.self, for: "samples of the numbers in \(columns.count) columns")
      for place in profiles.indices { profiles[place].reserve(room) }
    }
    let missing = table.missingCells
    var isPlain =
      !missing.includeNumbers && table.scanner.dialect.numbers.isPlain
      && !profiles.contains { $0.occurrences != nil }
    var numbers = [Double](repeating: 0, count: isPlain ? table.rows * columns.count : 0)
    var row = 0
    while row < table.rows {
      if isPlain {
        let end = table.readPlainRows(
          from: row, columns: columns, to: Array(columns.indices), into: &numbers, refusingCodes: true)
        for row in row..<end { take(numbers[row * columns.count..<(row + 1) * columns.count]) }
        row = end
      }
      guard row < table.rows else { break }
      try takeCells(ofRow: row, table, missing)
      // From its first text on, all texts of a column are counted.
      if isPlain { isPlain = !profiles.contains { $0.occurrences != nil } }
      row += 1
    }
    rows += table.rows
  }

  private mutating func take(_ numbers: ArraySlice<Double>) {
    var known: ColumnProfile.Target?
    if let target {
      let y = numbers[numbers.startIndex + target]
      profiles[target].take(y, target: nil)
      known = .init(hash: y.bitPattern, distance: y - profiles[target].mean)
    }
    for (place, number) in zip(profiles.indices, numbers) where place != target {
      profiles[place].take(number, target: known)
    }
  }

  private mutating func takeCells(
    ofRow row: Int, _ table: CSVTable, _ missing: MissingCells
  ) throws(ChainruleError) {
    var known: ColumnProfile.Target?
    let scanner = table.scanner
    if let target {
      let field = try scanner.field(row: table.rowStarts[row], column: columns[target])
      take(field, target, scanner, missing, target: nil)
      if !missing.isMissing(field, in: scanner) {
        let y: Double? = scanner.number(field)
        known = .init(
          hash: y.map(\.bitPattern) ?? ColumnProfile.hash(scanner.bytes[field.content]),
          distance: y.map { $0 - profiles[target].mean } ?? 0)
      }
    }
    let wanted = columns
    try scanner.forEachField(row: table.rowStarts[row], columns: wanted) {
      (place, field) throws(ChainruleError) in
      if place != target { take(field, place, scanner, missing, target: known) }
    }
  }

  private mutating func take(
    _ field: CSVScanner.Field, _ place: Int, _ scanner: CSVScanner, _ missing: MissingCells,
    target: ColumnProfile.Target?
  ) {
    let cell = scanner.bytes[field.content]
    if missing.isMissing(field, in: scanner) { return profiles[place].takeMissing() }
    let text = field.isQuoted ? scanner.unquoted(field)[...] : cell
    if let number: Double = scanner.number(field) {
      if ColumnProfile.isCode(cell) || !number.isFinite {
        if number.isFinite {
          profiles[place].take(text: text, isCode: true, target: target)
        } else {
          profiles[place].takeInfinite()
        }
        profiles[place].count(text)
        return
      }
      if profiles[place].occurrences != nil { profiles[place].count(text) }
      profiles[place].take(number, target: target)
    } else if let days = ISODate.days(in: cell) {
      if profiles[place].occurrences != nil { profiles[place].count(text) }
      profiles[place].take(days, isDate: true, target: target)
    } else {
      profiles[place].count(text)
      if scanner.isNotFinite(field) { return profiles[place].takeInfinite() }
      profiles[place].take(text: text, isCode: false, target: target)
    }
  }

  /// Stops collecting the texts of a target that is a number of many values, or of values that are not whole.
  mutating func forgetTexts(ofNumbersIn column: Int) {
    guard let place = columns.firstIndex(of: column) else { return }
    let profile = profiles[place]
    if profile.kind == .number, profile.fractions > 0 || profile.distinct.count > 20 {
      profiles[place].forgetTexts(asTooMany: false)
    }
  }

  /// The columns of categories whose first texts were not collected: ``takeTexts(of:)`` of another profile, with these
  /// `collecting`, mends that.
  func incomplete(besides numbers: Set<Int> = []) -> [Int] {
    zip(columns, profiles).compactMap { column, profile in
      profile.kind == .category && !profile.hasAllTexts && !profile.hasTooManyTexts
        && !numbers.contains(column)
        ? column : nil
    }
  }

  mutating func takeTexts(of other: TableProfile) {
    for (column, profile) in zip(other.columns, other.profiles) {
      profiles[columns.firstIndex(of: column)!].takeTexts(of: profile)
    }
  }

  /// The profile of a whole table.
  init(
    of table: CSVTable, columns: [Int], collecting: Set<Int>, target: Int? = nil
  ) throws(ChainruleError) {
    self.init(of: columns, collecting: collecting, target: target)
    try take(table)
    let incomplete = incomplete()
    guard !incomplete.isEmpty else { return }
    var again = TableProfile(of: incomplete, collecting: Set(incomplete))
    try again.take(table)
    takeTexts(of: again)
  }
}
