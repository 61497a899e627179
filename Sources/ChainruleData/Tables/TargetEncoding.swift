/// How the target columns of a table become the targets of a data set: classes one-hot, numbers and labels as they stand.
///
/// It is fitted on one table and applied to every other:
///
///     let targets = try TargetEncoding(fitting: known)
///     let test = try Dataset<Float>(csv: new, encoding: encoding, targets: targets)
public struct TargetEncoding: Sendable, Equatable, Codable {
  /// What the targets are.
  public enum Kind: String, Sendable, Codable {
    /// One column that names one of ``classes``.
    case classes
    /// Numbers to predict.
    case numbers
    /// Columns of 0 and 1, each a label that the row has or not.
    case labels
  }

  /// What the targets are.
  public let kind: Kind
  /// The classes, in the order of the target columns of a data set; nil for other kinds.
  public let classes: [String]?
  /// The names of the target columns; nil where the table had none.
  public let columnNames: [String]?

  /// Classes by their names, or targets of another kind.
  ///
  /// - Throws: `ChainruleError.invalidValue` for no class, one that stands twice, or more than 65,536.
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

  /// Columns of 0 and 1, each a label that the row has or not.
  package static let labels = TargetEncoding(kind: .labels, classes: nil, columnNames: nil)

  /// Reads an encoding; where the kind is left out, the targets are classes if there are some, and otherwise numbers.
  ///
  /// - Throws: A `DecodingError`, and `ChainruleError.invalidValue` for classes as ``init(classes:columnName:)`` refuses
  ///   them, or that do not go with the kind.
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
        expected: "some where the targets are classes, and otherwise none")
    }
    try checkDistinct(columnNames ?? [], "the names of the targets")
  }

  init(kind: Kind, classes: [String]?, columnNames: [String]?) {
    self.kind = kind
    self.classes = classes
    self.columnNames = columnNames
  }

  /// Fits the target columns of `table`, by the options it was read with.
  ///
  /// - Throws: `ChainruleError.badData` for a column that is not there, a task that the cells do not allow, and a target
  ///   that is missing in every row.
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

  /// The target columns of which the texts are wanted.
  static func collecting(_ columns: [Int], _ options: CSVOptions) -> Set<Int> {
    columns.count == 1 && (options.task == .automatic || options.task == .classification) ? [columns[0]] : []
  }

  /// Forgets texts that are wanted no more, since the target is a number.
  static func forget(_ columns: [Int], _ options: CSVOptions, in profile: inout TableProfile) {
    if columns.count == 1, options.task == .automatic { profile.forgetTexts(ofNumbersIn: columns[0]) }
  }

  /// Decides by what a profile has seen in the target columns.
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

  /// Whether the cells of one target name classes, where the task is left open.
  private static func areClasses(_ profile: ColumnProfile, named name: String?, rows: Int) -> Bool {
    switch profile.kind {
    case .category, .date: return true
    case .empty: return false
    case .number:
      guard profile.isWhole, let texts = profile.occurrences else { return false }
      if let name = name?.lowercased(), name == "class" || name == "label" { return true }
      // A double may merge large numbers.
      let distinct = profile.large > 0 ? texts.count : profile.distinct.count
      return 2...20 ~= distinct && distinct <= rows / 2
    }
  }

  /// The number of targets of a data set.
  func outputs(ofColumns columns: Int) -> Int { classes?.count ?? columns }

  /// The targets, row-major rows × outputs, of the columns at `indices`.
  ///
  /// A cell names the class of its text, or else the class that is the same number, where that is one.
  ///
  /// - Throws: `ChainruleError.badData`, with file, line and column, for a cell that names none of the classes, is not a
  ///   number, or not 0 or 1 where it is a label.
  func targets<Scalar: NetworkScalar>(
    of table: CSVTable, inColumns indices: [Int]
  ) throws(ChainruleError) -> [Scalar] {
    guard let classes else {
      let values: [Scalar] = try table.numbers(inColumns: indices)
      if kind == .labels, let index = values.firstIndex(where: { $0 != 0 && $0 != 1 }) {
        let (row, place) = index.quotientAndRemainder(dividingBy: indices.count)
        throw table.bad("\(values[index]) is no label; expected 0 or 1", row: row, column: indices[place])
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
          "\"\(text)\" is none of the classes \(enumeration(classes))", row: row, column: indices[0])
      }
      rows.append(place)
    }
    return oneHot(rows, classes: classes.count)
  }
}

/// Finds a class by its text, or else by its number where only one class has that: "1.0" is the class "1". A number that
/// is likely a label, such as 02134, one that a double does not hold, and "inf" have their texts alone.
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
