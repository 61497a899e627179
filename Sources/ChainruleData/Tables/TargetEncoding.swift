/// The encoding of a table's target columns as the targets of a data set: classes as one-hot columns, numbers
/// and labels unchanged.
///
/// It is fitted on one table and applied to all others:
///
///     let targets = try TargetEncoding(fitting: known)
///     let test = try Dataset<Float>(csv: new, encoding: encoding, targets: targets)
public struct TargetEncoding: Sendable, Equatable, Codable {
  /// The kind of the targets.
  public enum Kind: String, Sendable, Codable {
    /// One column that names one of ``classes``.
    case classes
    /// Numbers to predict.
    case numbers
    /// Columns of 0 and 1, one per label, which say whether the row has it.
    case labels
  }

  /// The kind of the targets.
  public let kind: Kind
  /// The classes, in the order of the target columns of a data set; `nil` for other kinds.
  public let classes: [String]?
  /// The names of the target columns; `nil` if the table had none.
  public let columnNames: [String]?

  /// Creates an encoding of classes by their names.
  ///
  /// - Throws: `ChainruleError.invalidValue` for no class, a repeated one, or more than 65,536.
  public init(
    classes: [String], columnName: String? = nil
  ) throws(ChainruleError) {
    guard !classes.isEmpty else {
      throw .invalidValue(name: "classes", value: "none", expected: "at least one")
    }
    try Dataset<Float>.checkClasses(classes)
    self.init(kind: .classes, classes: classes, columnNames: columnName.map { [$0] })
  }

  /// Numbers to predict, in the target columns that the options name.
  public static let numbers = TargetEncoding(kind: .numbers, classes: nil, columnNames: nil)

  /// Columns of 0 and 1, one per label, which say whether the row has it.
  package static let labels = TargetEncoding(kind: .labels, classes: nil, columnNames: nil)

  /// Reads an encoding. If the kind is missing, the targets are classes if there are any, otherwise numbers.
  ///
  /// - Throws: A `DecodingError`, and `ChainruleError.invalidValue` for classes that
  ///   ``init(classes:columnName:)`` refuses, or that do not match the kind.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    classes = try container.decodeIfPresent([String].self, forKey: .classes)
    kind =
      try container.decodeIfPresent(Kind.self, forKey: .kind) ?? (classes == nil ? .numbers : .classes)
    columnNames = try container.decodeIfPresent([String].self, forKey: .columnNames)
    if let classes { _ = try TargetEncoding(classes: classes) }
    guard (kind == .classes) == (classes != nil) else {
      throw ChainruleError.invalidValue(
        name: "classes", value: classes == nil ? "none" : "\(classes!.count)",
        expected: "one or more for classes, and none for other targets")
    }
    try checkDistinct(columnNames ?? [], "the names of the targets")
  }

  init(kind: Kind, classes: [String]?, columnNames: [String]?) {
    self.kind = kind
    self.classes = classes
    self.columnNames = columnNames
  }

  /// Fits the target columns of `table`, with the options it was read with.
  ///
  /// - Throws: `ChainruleError.badData` for a column that does not exist, a task that does not fit the cells,
  ///   and a target that is missing in every row.
  public init(fitting table: CSVTable) throws(ChainruleError) {
    let columns = try table.targetColumns()
    var profile = TableProfile(of: columns, collecting: Self.collecting(columns, table.options))
    for rows in blocks(of: 1 << 14, in: table.rows) {
      try profile.take(CSVTable(table, rows: rows))
      Self.forget(columns, table.options, in: &profile)
    }
    let incomplete = profile.incomplete()
    if !incomplete.isEmpty {
      var again = TableProfile(of: incomplete, collecting: Set(incomplete))
      try again.take(table)
      profile.takeTexts(of: again)
    }
    try self.init(fitting: profile, targets: columns, table)
  }

  /// Returns the target columns whose texts are needed.
  static func collecting(_ columns: [Int], _ options: CSVOptions) -> Set<Int> {
    columns.count == 1 && (options.task == .automatic || options.task == .classification) ? [columns[0]] : []
  }

  /// Discards texts that are no longer needed, because the target is a number.
  static func forget(_ columns: [Int], _ options: CSVOptions, in profile: inout TableProfile) {
    if columns.count == 1, options.task == .automatic { profile.forgetTexts(ofNumbersIn: columns[0]) }
  }

  /// Decides the encoding from a profile of the target columns.
  init(fitting profile: TableProfile, targets columns: [Int], _ table: CSVTable) throws(ChainruleError) {
    let task = table.options.task
    let names = table.columnNames.map { names in columns.map { names[$0] } }
    if let empty = columns.first(where: { profile[$0].present == 0 }) {
      throw table.bad("the target \(table.title(of: empty)) is missing in every row")
    }
    let isSingle = columns.count == 1
    let first = profile[columns[0]]
    switch task {
    case .regression: self.init(kind: .numbers, classes: nil, columnNames: names)
    case .multilabel: self.init(kind: .labels, classes: nil, columnNames: names)
    case .automatic where !isSingle:
      let areLabels = columns.allSatisfy { column in
        let profile = profile[column]
        return profile.isWhole && profile.distinct.allSatisfy { $0 == 0 || $0 == 1 }
      }
      self.init(kind: areLabels ? .labels : .numbers, classes: nil, columnNames: names)
    case .classification, .automatic:
      guard isSingle else { throw table.bad("classes need one target column; got \(columns.count)") }
      guard task == .classification || Self.areClasses(first, named: names?[0], rows: first.present) else {
        self.init(kind: .numbers, classes: nil, columnNames: names)
        return
      }
      if task == .automatic {
        try table.refuseGuess(ofColumn: columns[0], first, orElse: "--task classification")
      }
      guard let texts = first.occurrences, !first.hasTooManyTexts else {
        throw table.bad(
          "the target \(table.title(of: columns[0])) has more than \(Dataset<Float>.maximumClasses) classes; "
            + "for a number to predict: --task regression")
      }
      self.init(kind: .classes, classes: ascending(texts.keys), columnNames: names)
      try Dataset<Float>.checkClasses(classes!)
    }
  }

  /// Returns whether the cells of one target are classes, if the task is automatic.
  private static func areClasses(_ profile: ColumnProfile, named name: String?, rows: Int) -> Bool {
    switch profile.kind {
    case .category, .date: return true
    case .empty: return false
    case .number:
      guard profile.isWhole, let texts = profile.occurrences else { return false }
      if let name = name?.lowercased(), name == "class" || name == "label" { return true }
      // Distinct large numbers can have the same double.
      let distinct = profile.large > 0 ? texts.count : profile.distinct.count
      return 2...20 ~= distinct && distinct <= rows / 2
    }
  }

  /// Returns the number of targets of a data set.
  func outputs(ofColumns columns: Int) -> Int { classes?.count ?? columns }

  /// Returns the targets, row-major rows × outputs, of the columns at `indices`.
  ///
  /// A cell names the class with its text, or else the class with the same number if only one has it.
  ///
  /// - Throws: `ChainruleError.badData`, with file, line and column, for a cell that is not one of the
  ///   classes, not a number, or, for a label, not 0 or 1.
  func targets<Scalar: NetworkScalar>(
    of table: CSVTable, inColumns indices: [Int]
  ) throws(ChainruleError) -> [Scalar] {
    guard let classes else {
      let values: [Scalar] = try table.numbers(inColumns: indices)
      if kind == .labels, let index = values.firstIndex(where: { $0 != 0 && $0 != 1 }) {
        let (row, place) = index.quotientAndRemainder(dividingBy: indices.count)
        throw table.bad("\(values[index]) is not a label; expected 0 or 1", row: row, column: indices[place])
      }
      return values
    }
    guard indices.count == 1 else {
      throw table.bad("classes need one target column; got \(indices.count)")
    }
    let places = ClassPlaces(classes)
    var rows = try [Int](roomFor: table.rows, for: "the classes of \(table.rows) rows")
    for (row, text) in try table.strings(inColumn: indices[0]).enumerated() {
      guard let place = places[text] else {
        throw table.bad(
          "\"\(text)\" is not one of the classes \(enumeration(classes))", row: row, column: indices[0])
      }
      rows.append(place)
    }
    return oneHot(rows, classes: classes.count)
  }
}

/// Finds a class by its text, or else by its number if only one class has that number: "1.0" is the class
/// "1". Numbers that are likely labels, such as 02134, numbers that a double cannot represent, and "inf"
/// match only by their text.
struct ClassPlaces {
  private let byText: [ExactText: Int]
  private let byNumber: [Double: Int]

  init(_ classes: [String]) {
    byText = places(of: classes)
    byNumber = Dictionary(
      classes.enumerated().compactMap { place, name in Self.number(name).map { ($0, place) } }
    ) { _, _ in -1 }
  }

  subscript(text: String) -> Int? {
    if let place = byText[ExactText(text)] { return place }
    guard let number = Self.number(text), let place = byNumber[number], place >= 0 else { return nil }
    return place
  }

  private static func number(_ text: String) -> Double? {
    let bytes = Array(text.utf8)
    guard let number: Double = decimalNumber(in: bytes, bytes.indices), number.magnitude < 0x1p53,
      !ColumnProfile.isCode(bytes[...])
    else { return nil }
    return number
  }
}
