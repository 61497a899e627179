/// The contents of one column's cells, over all rows read.
struct ColumnProfile: Sendable {
  enum Kind: Sendable { case empty, number, date, category }

  // The number of cells of each kind.
  private(set) var missing = 0
  private(set) var numbers = 0
  /// The number of numbers that are not whole.
  private(set) var fractions = 0
  private(set) var dates = 0
  private(set) var texts = 0
  /// The number of whole numbers with leading zeros, which are more likely codes than quantities.
  private(set) var codes = 0
  /// The number of numbers of 2⁵³ and above, some of which have the same double.
  private(set) var large = 0
  /// The number of cells with "inf" or with numbers beyond the range of a double.
  private(set) var infinite = 0

  // Over the numbers, and the days of the dates.
  private(set) var minimum = Double.infinity
  private(set) var maximum = -Double.infinity
  private(set) var mean = 0.0
  /// Σ(x - mean)² (Welford 1962)
  private var squares = 0.0
  /// The distinct values, up to 21.
  private(set) var distinct: [Double] = []
  /// Whether each number is 1 more than the one before.
  private(set) var counts = true
  private var last: Double?
  private var sample: Reservoir

  /// The number of occurrences of each text, including those of numbers if `hasAllTexts`; `nil` if they are
  /// not needed or too many.
  private(set) var occurrences: [ExactText: Int]?
  /// Whether all texts were counted, from the first.
  private(set) var hasAllTexts: Bool
  /// Whether there are more than ``mostTexts``.
  private(set) var hasTooManyTexts = false

  /// The target of each value, as hashes; `nil` if a value occurs with two targets, or if there are many
  /// values.
  private(set) var targetOfValue: [UInt64: UInt64]? = [:]
  /// Σ(x - mean)(y - mean of y)
  private var products = 0.0

  /// The maximum number of distinct texts to count.
  static let mostTexts = 65_537

  /// `collectsTexts`: count the text of every cell.
  init(collectsTexts: Bool, sampleSize: Int) {
    hasAllTexts = collectsTexts
    occurrences = collectsTexts ? [:] : nil
    sample = Reservoir(size: sampleSize)
  }

  var present: Int { numbers + dates + texts + codes + infinite }

  /// The kind of the column, according to all its present cells. A few other cells among many dates or
  /// distinct numbers count as typing errors and do not make the column one of categories; nor does an
  /// infinite number.
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

  /// The median of the numbers; exact if the sample has all of them.
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

  /// Adopts the texts of another profile of the same cells.
  mutating func takeTexts(of other: ColumnProfile) {
    occurrences = other.occurrences
    hasAllTexts = other.hasAllTexts
    hasTooManyTexts = other.hasTooManyTexts
  }

  /// The option for reading the texts as numbers, if most of them are numbers with a comma; otherwise `nil`.
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

  /// An example of a date that is not in ISO 8601 format, if most of the texts are such; otherwise `nil`.
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

  /// Returns whether a number, such as 007, is more likely a label than a quantity.
  static func isCode(_ cell: ArraySlice<UInt8>) -> Bool {
    cell.count > 1 && cell.first == UInt8(ascii: "0")
      && cell.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
  }

  /// FNV-1a
  static func hash(_ text: ArraySlice<UInt8>) -> UInt64 {
    text.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  /// Returns |correlation| with the target, whose moments `target` has; 0 if either is constant.
  func correlation(with target: ColumnProfile) -> Double {
    let scale = (squares * target.squares).squareRoot()
    return scale > 0 && missing == 0 && present == target.present ? abs(products) / scale : 0
  }

  /// The target of a row.
  struct Target {
    var hash: UInt64
    /// y minus the mean of the rows up to it.
    var distance: Double
  }
}

/// A random sample of numbers that arrive one by one (Vitter 1985, algorithm R), the same in every run.
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

/// The contents of a table's columns, from reading every cell once, part by part; columns whose texts turned
/// out to be needed are read again.
struct TableProfile: Sendable {
  /// The columns, counted from 0, ascending.
  let columns: [Int]
  private(set) var profiles: [ColumnProfile]
  private(set) var rows = 0
  /// The maximum size of a column's sample, and the size for which memory is reserved.
  private let sampleSize: Int
  private var room = 0
  /// The index in ``columns`` of the single target, which the other columns are compared with.
  private let target: Int?

  /// Creates an empty profile.
  ///
  /// - Parameters:
  ///   - collecting: Those of `columns` whose texts are needed, even if they are numbers.
  ///   - target: The single target column, if there is one; it must be in `columns`.
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

  /// Returns whether cells of a column are missing.
  func lacks(_ column: Int) -> Bool {
    columns.firstIndex(of: column).map { profiles[$0].missing > 0 } ?? false
  }

  /// Adds the rows of a part.
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

  /// Discards the texts of a target that is a number with many values, or with values that are not whole.
  mutating func forgetTexts(ofNumbersIn column: Int) {
    guard let place = columns.firstIndex(of: column) else { return }
    let profile = profiles[place]
    if profile.kind == .number, profile.fractions > 0 || profile.distinct.count > 20 {
      profiles[place].forgetTexts(asTooMany: false)
    }
  }

  /// Returns the columns of categories whose first texts were not collected. ``takeTexts(of:)`` adopts them
  /// from another profile with these columns as `collecting`.
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

  /// Creates the profile of a whole table.
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
