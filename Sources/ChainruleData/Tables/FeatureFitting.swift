/// A decision about a table that was made by default.
public struct TableNote: Equatable, Codable, Sendable {
  /// Whether the data may contain a mistake.
  public let isWarning: Bool
  /// A sentence without a full stop.
  public let text: String

  /// Creates a note.
  public init(isWarning: Bool = false, text: String) {
    self.isWarning = isWarning
    self.text = text
  }
}

extension FeatureEncoding {
  /// The maximum number of categories of an inferred column; it has the most frequent ones.
  static let mostInferredCategories = 255
  /// Up to this number of distinct texts, each is a category; above it, only those that occur twice.
  fileprivate static let fewCategories = 16

  /// Fits the feature columns of a table as ``init(fitting:valuesOf:)`` does, and returns notes about the
  /// decisions.
  public static func fitting(
    _ table: CSVTable, valuesOf rows: [Int]? = nil
  ) throws(ChainruleError) -> (encoding: FeatureEncoding, notes: [TableNote]) {
    try fitting(table, valuesOf: rows, isLenient: false)
  }

  /// Fits a table that may have bad cells; the replacements of missing cells are approximate.
  init(fitting table: CSVTable, isLenient: Bool) throws(ChainruleError) {
    self = try FeatureEncoding.fitting(table, valuesOf: nil, isLenient: isLenient).encoding
  }

  private static func fitting(
    _ table: CSVTable, valuesOf rows: [Int]?, isLenient: Bool
  ) throws(ChainruleError) -> (encoding: FeatureEncoding, notes: [TableNote]) {
    let columns = try FeatureColumns(of: table)
    if columns.arePlain {
      return (
        columns.encoding(Array(repeating: .number(Number()), count: columns.inputs.count), of: table), []
      )
    }
    let profile = try TableProfile(
      of: table, columns: columns.profiled, collecting: columns.categorical, target: columns.target)
    guard let rows else { return try fitting(table, columns, profile, profile, isLenient ? nil : table) }
    let fitted = try CSVTable(table, rowsAt: rows)
    let some = try TableProfile(
      of: fitted, columns: columns.profiled,
      collecting: columns.categorical.union(columns.inputs.filter { profile[$0].kind == .category }))
    return try fitting(table, columns, profile, some, isLenient ? nil : fitted)
  }

  /// Fits to profiles: `all` of every row, and `fitted` of the rows whose values count. `table` has these
  /// rows; `nil`: use the profile's means and medians.
  static func fitting(
    _ whole: CSVTable, _ columns: FeatureColumns, _ all: TableProfile, _ fitted: TableProfile,
    _ table: CSVTable?
  ) throws(ChainruleError) -> (encoding: FeatureEncoding, notes: [TableNote]) {
    var fitting = Fitting(whole: whole, columns: columns, all: all, fitted: fitted)
    var list: [(index: Int, column: Column)] = []
    for index in columns.inputs {
      if let column = try fitting.column(index) { list.append((index, column)) }
    }
    guard !list.isEmpty else {
      throw whole.bad("no feature is left; \(fitting.summary([]).map(\.text).joined(separator: "; "))")
    }
    if let table { try fitting.fillExactly(&list, table) }
    let encoding = columns.encoding(list.map(\.column), at: list.map(\.index), of: whole)
    return (encoding, fitting.summary(list))
  }
}

/// The feature columns of a table, according to its options.
struct FeatureColumns: Sendable {
  let inputs: [Int]
  /// The columns that the options declare as categories.
  let categorical: Set<Int>
  let kept: Set<Int>
  let targets: [Int]
  /// Whether each column is an unchanged number.
  let arePlain: Bool

  init(of table: CSVTable) throws(ChainruleError) {
    let options = table.options
    let inputs = try table.featureColumns()
    self.inputs = inputs
    targets = try table.targetColumns()
    let named = try table.columns(named: options.categorical)
    if let other = named.firstIndex(where: { !inputs.contains($0) }) {
      throw table.bad("\"\(options.categorical[other])\" is categorical, but not a feature")
    }
    categorical = Set(named)
    kept = Set(try table.columns(named: options.kept))
    arePlain =
      named.isEmpty && options.missing == nil && !options.infersColumns && !options.centersLargeNumbers
  }

  /// The single target, if there is one; correlations with it show features that reveal it.
  var target: Int? { targets.count == 1 ? targets[0] : nil }

  var profiled: [Int] { inputs + (target.map { [$0] } ?? []) }

  func encoding(
    _ columns: [FeatureEncoding.Column], at indices: [Int]? = nil, of table: CSVTable
  ) -> FeatureEncoding {
    let indices = indices ?? inputs
    let options = table.options
    return FeatureEncoding(
      columnNames: table.columnNames.map { names in indices.map { names[$0] } }, columns: columns,
      missingTexts: options.missingTexts, unknown: options.unknownCategory, decimal: options.decimal,
      thousands: options.thousands,
      layout: table.columnNames == nil
        ? FeatureEncoding.Layout(width: table.columns, features: indices, targets: targets) : nil)
  }
}

/// Decides the encoding column by column.
private struct Fitting {
  let whole: CSVTable
  let columns: FeatureColumns
  let all: TableProfile
  let fitted: TableProfile
  private var (constant, empty, numbering, unique): ([String], [String], [String], [String]) = (
    [], [], [], []
  )
  private var rare: [String] = []
  private var (revealing, identifying): ([Int], [Int]) = ([], [])

  init(whole: CSVTable, columns: FeatureColumns, all: TableProfile, fitted: TableProfile) {
    (self.whole, self.columns, self.all, self.fitted) = (whole, columns, all, fitted)
  }

  /// Returns the encoding of a column; `nil` if it is skipped.
  mutating func column(_ index: Int) throws(ChainruleError) -> FeatureEncoding.Column? {
    let (profile, options, title) = (all[index], whole.options, whole.title(of: index))
    let infers = options.infersColumns
    let isCategorical = columns.categorical.contains(index) || infers && profile.kind == .category
    let isKept = !infers || columns.kept.contains(index)
    if profile.present == 0 || fitted[index].present == 0 {
      if infers, !isKept || profile.present > 0 {
        empty.append(title)
        return nil
      }
      guard case .constant(let value)? = options.missing, !isCategorical else {
        throw whole.bad(
          "\"\(title)\" is missing in every row" + (profile.present > 0 ? " that is trained on" : "")
            + "; leave it out: --ignore \(whole.argument(naming: index))")
      }
      return .number(.init(missing: value, indicatesMissing: options.indicatesMissing))
    }
    if !isKept, isConstant(fitted[index], isCategorical: isCategorical) {
      constant.append(title)
      return nil
    }
    if !isKept, isNumbering(profile, index) {
      numbering.append(title)
      return nil
    }
    noteSuspicions(profile, index)
    let hasGaps = fitted[index].missing > 0 || profile.missing > 0
    let indicates = options.indicatesMissing && hasGaps
    if isCategorical {
      return try category(index, indicates: indicates, isInferred: !columns.categorical.contains(index))
    }
    var number = FeatureEncoding.Number(indicatesMissing: indicates, isDate: infers && profile.kind == .date)
    number.missing = fill(fitted[index], options.missing)
    if options.centersLargeNumbers {
      let (mean, deviation) = (fitted[index].mean, fitted[index].variance.squareRoot())
      if deviation > 0, abs(mean) > 1024 * deviation {
        number.offset = deviation >= 1 ? mean.rounded() : mean
      }
    }
    return .number(number)
  }

  private mutating func category(
    _ index: Int, indicates: Bool, isInferred: Bool
  ) throws(ChainruleError) -> FeatureEncoding.Column? {
    let title = whole.title(of: index)
    // All rows, if an unknown category would be an error.
    let known = whole.options.unknownCategory == .error ? all[index] : fitted[index]
    guard !known.hasTooManyTexts, let occurrences = known.occurrences else {
      if isInferred, !columns.kept.contains(index) {
        unique.append(title)
        return nil
      }
      throw whole.bad(
        "\"\(title)\" has more than \(ColumnProfile.mostTexts - 1) categories; leave it out: "
          + "--ignore \(whole.argument(naming: index))"
      )
    }
    if isInferred {
      try whole.refuseGuess(
        ofColumn: index, known, orElse: "--categorical \(whole.argument(naming: index))")
    }
    var categories = Array(occurrences.keys)
    let most = FeatureEncoding.mostInferredCategories
    if isInferred, categories.count > FeatureEncoding.fewCategories {
      let frequent = categories.filter { occurrences[$0]! > 1 }
      if frequent.isEmpty, !columns.kept.contains(index) {
        unique.append(title)
        return nil
      }
      // If an unknown category is an error, rare ones must be known.
      let mayDrop = whole.options.unknownCategory == .zeros
      if mayDrop, !frequent.isEmpty { categories = frequent }
      if mayDrop, categories.count > most {
        categories.sort { (-occurrences[$0]!, $0) < (-occurrences[$1]!, $1) }
        categories.removeLast(categories.count - most)
      }
      if categories.count < occurrences.count {
        rare.append("\(title) (\(categories.count) of \(occurrences.count))")
      }
    }
    let names = ascending(categories)
    try OneHotEncoding.check(names, of: "\"\(title)\"")
    var missing: String?
    if whole.options.missing != nil, !whole.options.indicatesMissing {
      let counts = fitted[index].occurrences ?? [:]
      let largest = counts.values.max() ?? 0
      missing = names.first { counts[ExactText($0), default: 0] == largest }
    }
    return .category(
      .init(
        names, missing: missing, indicatesMissing: indicates, refusesMissing: whole.options.missing == nil))
  }

  private func fill(_ profile: ColumnProfile, _ strategy: Imputation.Strategy?) -> Double? {
    switch strategy {
    case nil: nil
    case .mean: profile.mean
    case .median: profile.median
    case .mostFrequent: profile.mostFrequent
    case .constant(let value): value
    }
  }

  private func isConstant(_ profile: ColumnProfile, isCategorical: Bool) -> Bool {
    guard profile.missing == 0 else { return false }
    return isCategorical
      ? profile.occurrences?.count == 1 && profile.hasAllTexts : profile.minimum == profile.maximum
  }

  /// Whether a column numbers the rows and has no name, or the name that pandas uses.
  private func isNumbering(_ profile: ColumnProfile, _ index: Int) -> Bool {
    guard profile.isWhole, profile.missing == 0, profile.counts, profile.numbers > 2 else { return false }
    guard let name = whole.columnNames?[index] else { return false }
    return name == "column \(index + 1)" || name.hasPrefix("Unnamed: ")
  }

  private mutating func noteSuspicions(_ profile: ColumnProfile, _ index: Int) {
    guard profile.present >= 20 else { return }
    if let target = columns.target {
      let goal = all[target]
      let isLeak =
        goal.kind == .number && goal.distinct.count > 20
        ? profile.correlation(with: goal) > 1 - 1e-9
        : profile.targetOfValue.map {
          $0.count > 1 && $0.count * 10 <= profile.present && profile.missing == 0
        } ?? false
      if isLeak { revealing.append(index) }
    }
    let isUnique =
      profile.occurrences.map {
        $0.count == profile.present && profile.hasAllTexts && profile.texts > 0
          && !whole.options.infersColumns
      }
      ?? false
      || profile.isWhole && profile.maximum - profile.minimum + 1 == Double(profile.present)
        && profile.distinct.count > 20
        && (profile.counts || ExactText(whole.title(of: index).lowercased()).isID)
    if isUnique, profile.missing == 0 { identifying.append(index) }
  }

  /// Replaces the profile's approximate means, medians and most frequent values by exact ones.
  mutating func fillExactly(
    _ list: inout [(index: Int, column: FeatureEncoding.Column)], _ table: CSVTable
  ) throws(ChainruleError) {
    guard let strategy = whole.options.missing else { return }
    if case .constant = strategy { return }
    var numeric: [Int] = []
    for (place, entry) in list.enumerated() {
      guard case .number = entry.column else { continue }
      // If no cell is missing and the options do not require it, an approximate median is enough for later
      // ones.
      if !whole.options.infersColumns || fitted[entry.index].missing > 0 { numeric.append(place) }
    }
    // At most 128 MiB of numbers at a time.
    let width = max(1, (1 << 24) / max(table.rows, 1))
    for block in blocks(of: width, in: numeric.count) {
      let places = Array(numeric[block])
      let indices = places.map { list[$0].index }
      let numbers: [Double] = try table.numbers(
        inColumns: indices, missing: table.missingCells,
        dates: Set(
          places.compactMap { place in
            if case .number(let number) = list[place].column, number.isDate { list[place].index } else { nil }
          }))
      let imputation = try Imputation(
        strategy, fitting: numbers, columns: indices.count, names: indices.map { table.title(of: $0) })
      for (place, value) in zip(places, imputation.values) {
        guard case .number(var number) = list[place].column else { continue }
        number.missing = value
        list[place].column = .number(number)
      }
    }
  }

  /// Returns one sentence for each decision.
  func summary(_ list: [(index: Int, column: FeatureEncoding.Column)]) -> [TableNote] {
    var (texts, gaps, dates, offsets): ([String], [String], [String], [String]) = ([], [], [], [])
    var features = 0
    for (index, column) in list {
      let title = whole.title(of: index)
      switch column {
      case .number(let number):
        if number.isDate { dates.append(title) }
        if number.offset != 0 { offsets.append("\(title) - \(significant(number.offset))") }
        if fitted[index].missing > 0, let value = number.missing {
          gaps.append("\(title) (\(significant(value)))")
        }
      case .category(let category):
        if !columns.categorical.contains(index) {
          texts.append(title)
          features += category.categories.count
        }
      }
    }
    func suspicion(_ columns: [Int], _ text: String, _ condition: String) -> TableNote? {
      guard let first = columns.first else { return nil }
      return TableNote(
        isWarning: true,
        text: "\(text): \(enumeration(columns.map(whole.title))); if \(condition): "
          + "--ignore \(whole.argument(naming: first))")
    }
    func counted(_ names: [String]) -> String { names.count == 1 ? "1 column" : "\(names.count) columns" }
    func note(_ names: [String], _ text: String, isWarning: Bool = false) -> TableNote? {
      names.isEmpty ? nil : TableNote(isWarning: isWarning, text: text)
    }
    let strategy =
      switch whole.options.missing {
      case nil: ""
      case .constant(let value): "the value \(significant(value))"
      case .mostFrequent: "the most frequent value of their column"
      case .mean: "the mean of their column"
      case .median: "the median of their column"
      }
    return [
      note(texts, "\(counted(texts)) of text became \(features) categories: \(enumeration(texts))"),
      note(rare, "rare categories count as none: \(enumeration(rare))"),
      note(dates, "\(counted(dates)) of dates became days since 1970: \(enumeration(dates))"),
      note(
        gaps,
        "missing numbers take \(strategy)"
          + (whole.options.indicatesMissing ? ", and a feature says that they are missing" : "")
          + ": \(enumeration(gaps))"),
      note(offsets, "large numbers are centred before they are rounded: \(enumeration(offsets))"),
      note(constant, "left out, the same in every row: \(enumeration(constant))"),
      note(empty, "left out, without a value: \(enumeration(empty))"),
      note(numbering, "left out, the number of the row: \(enumeration(numbering))"),
      note(unique, "left out, another text in every row: \(enumeration(unique))", isWarning: true),
      suspicion(identifying, "another value in every row", "it only names the row"),
      suspicion(revealing, "gives the target away", "it is not known when you predict"),
    ].compactMap(\.self)
  }
}

extension ExactText {
  /// Whether a column with this name, in lower case, probably identifies the rows.
  fileprivate var isID: Bool {
    text == "id" || text.hasSuffix("id") || text == "index" || text.hasSuffix("number")
  }
}

extension CSVTable {
  /// Throws for a column of texts that are numbers with commas, or dates in a format other than ISO 8601,
  /// because their meaning is ambiguous. `option` treats them as categories.
  func refuseGuess(
    ofColumn column: Int, _ profile: ColumnProfile, orElse option: String
  ) throws(ChainruleError) {
    let others = "or that they are categories: \(option)"
    if let remedy = profile.remedyForCommas {
      throw bad(
        "the column \"\(title(of: column))\" holds numbers with a comma; state what the comma means: \(remedy); \(others)"
      )
    }
    if let date = profile.foreignDate {
      throw bad(
        "the column \"\(title(of: column))\" holds dates such as \"\(date)\"; write them in ISO 8601 format, "
          + "2024-03-01, or leave them out: --ignore \(argument(naming: column)); \(others)")
    }
  }
}
