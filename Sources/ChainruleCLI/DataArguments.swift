import ArgumentParser
import Chainrule
import Foundation

extension DataFile.Format: ExpressibleByArgument {}
extension OneHotEncoding.UnknownCategory: ExpressibleByArgument {}

/// The data that a command reads.
struct DataArguments: ParsableArguments {
  @Argument(
    help: """
      The data: a file, "-" for standard input, or the name of a bundled set (\(bundledNames)). A file may be CSV, IDX, \
      .npy, .npz or FANN, with or without gzip. Write ./iris for a file with the name of a bundled set.
      """)
  var data: String

  @Option(
    help: ArgumentHelp(
      "CSV: the character between two cells, or tab, or space for any run of spaces and tabs. Default: the character that "
        + "splits the first lines into the same number of cells.",
      valueName: "character"),
    transform: parseDelimiter)
  var delimiter: Character?

  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help:
      "CSV: the first row has the names of the columns, or it has data. Default: decided by comparing it with the next rows."
  )
  var header: Bool?

  @Option(
    help: ArgumentHelp(
      "The format of the file. Default: detected from its first bytes; CSV if no other format matches.",
      valueName: "format"))
  var format: DataFile.Format?

  @Option(
    help: ArgumentHelp(
      ".npz: the array with the features; --target names the array with the targets. Default: x and y, or similar names.",
      valueName: "array"))
  var features: String?

  func source() throws -> DataSource {
    // A delimiter and a header are of CSV; what begins as FANN's data may be that.
    let isCSV = delimiter != nil || header != nil
    let source = try DataSource(data, format: format ?? (isCSV && isText ? .csv : nil))
    if delimiter != nil { try source.require([.csv], for: "--delimiter") }
    if let header { try source.require([.csv], for: header ? "--header" : "--no-header") }
    if features != nil { try source.require([.npz], for: "--features") }
    if format != nil, source.format == nil {
      throw ValidationError("--format applies to files only, not to \(source)")
    }
    return source
  }

  /// The options with this delimiter and header.
  func applied(to options: CSVOptions) -> CSVOptions {
    var options = options
    options.delimiter = delimiter
    options.header = header.map { $0 ? .yes : .no } ?? .automatic
    return options
  }

  /// Whether the data are a file that is text by its first bytes.
  private var isText: Bool {
    guard fileKind(data) == S_IFREG, let format = try? DataFile.format(ofFile: data) else {
      return data == "-"
    }
    return format == .csv || format == .fann
  }

  private static let bundledNames = BundledDataset.allCases.map(\.rawValue).joined(separator: ", ")
}

/// The columns or the file with the targets.
struct TargetArguments: ParsableArguments {
  @Option(
    name: .customLong("target"), parsing: .singleValue,
    help: ArgumentHelp(
      "A column to predict, by name or by number from 1; repeat it for several columns. For .npz: the array with the "
        + "targets. Default: the last column.",
      valueName: "column"))
  var targets: [String] = []

  @Option(
    help: ArgumentHelp(
      "The file with the targets of the same rows: an IDX file for IDX images, a .npy file for .npy features. Default for "
        + "IDX: labels-idx1 in place of images-idx3 in the name, as MNIST has it.",
      valueName: "file"))
  var labels: String?

  func check(against source: DataSource) throws {
    if !targets.isEmpty { try source.require([.csv, .npy, .npz], for: "--target") }
    if labels != nil { try source.require([.idx, .npy], for: "--labels") }
    if labels != nil, !targets.isEmpty {
      throw ValidationError("--target and --labels cannot be combined: all of the --labels file is targets")
    }
  }
}

/// The roles of CSV columns, and how their cells are read.
struct ColumnArguments: ParsableArguments {
  @Option(
    help: """
      What the targets are. With automatic, one target column holds classes if its cells are text or at most 20 different \
      repeated integers; several columns of 0 and 1 are labels (multilabel); other columns are numbers (regression).
      """)
  var task = CSVOptions.LearningTask.automatic

  @Option(
    name: .customLong("ignore"), parsing: .singleValue,
    help: ArgumentHelp(
      "Columns to leave out, by name or by number from 1, separated by commas. Put a name with a comma in double quotes.",
      valueName: "columns"),
    transform: parseColumns)
  var ignored: [[String]] = []

  @Option(
    name: .customLong("only"), parsing: .singleValue,
    help: ArgumentHelp(
      "The columns to use as features. Default: all columns without another role.", valueName: "columns"),
    transform: parseColumns)
  var only: [[String]] = []

  @Option(
    name: .customLong("keep"), parsing: .singleValue,
    help: ArgumentHelp(
      "Columns to keep as features even if they are constant, number the rows, or have a different text in each row.",
      valueName: "columns"),
    transform: parseColumns)
  var kept: [[String]] = []

  @Option(
    name: .customLong("categorical"), parsing: .singleValue,
    help: ArgumentHelp(
      "Columns of numbers to read as categories. Each category becomes a feature of 0 and 1. Text columns are always "
        + "categories.",
      valueName: "columns"),
    transform: parseColumns)
  var categorical: [[String]] = []

  @OptionGroup var identification: IDArguments

  @OptionGroup var rows: RowArguments

  @Option(
    help: ArgumentHelp(
      "Fills missing numbers with the mean, median or mostFrequent value of their column, or with this number; error "
        + "refuses them. An additional feature marks the rows where a cell is missing. Default: median.",
      valueName: "value"),
    transform: MissingArgument.init(parsing:))
  var missing: MissingArgument?

  @Option(
    name: .customLong("missing-values"), parsing: .singleValue,
    help: ArgumentHelp(
      "Additional texts that mean a missing cell, such as -999, separated by commas. Always missing: an empty cell, "
        + CSVOptions.usualMissingTexts.dropFirst().joined(separator: ", ") + ".",
      valueName: "texts"),
    transform: parseColumns)
  var missingValues: [[String]] = []

  @Option(
    help: """
      A category that the training rows do not have: zeros sets its features to 0 and reports the number of such cells; error \
      refuses it. The saved model does the same. Default: zeros.
      """)
  var unknown: OneHotEncoding.UnknownCategory?

  @Option(
    help: ArgumentHelp(
      "The decimal separator, \".\" or \",\". Default: \".\".", valueName: "character"),
    transform: { try parseCharacter($0, among: ".,", "\".\" or \",\"") })
  var decimal: Character?

  @Option(
    help: ArgumentHelp(
      "The separator between groups of three digits, such as \",\" or \"'\". Default: none.",
      valueName: "character"),
    transform: { try parseCharacter($0, among: ",.' _", "one of , . ' _ and space") })
  var thousands: Character?

  /// The options of CSV alone, and whether each is given.
  private var ofCSV: [(String, Bool)] {
    [
      ("--ignore", !ignored.isEmpty), ("--only", !only.isEmpty), ("--keep", !kept.isEmpty),
      ("--categorical", !categorical.isEmpty), ("--id", identification.id != nil),
      ("--missing", missing != nil), ("--missing-values", !missingValues.isEmpty),
      ("--unknown", unknown != nil),
      ("--decimal", decimal != nil), ("--thousands", thousands != nil),
    ]
  }

  func check(against source: DataSource) throws {
    if task != .automatic { try source.require([.csv, .npy, .npz, .fann], for: "--task") }
    for (option, isGiven) in ofCSV where isGiven { try source.require([.csv], for: option) }
    try rows.check(against: source)
  }

  /// How a table is read. `infers` whether the columns' cells decide what they are, where no option does.
  func options(target: [String], infers: Bool, centers: Bool) -> CSVOptions {
    var options =
      infers ? CSVOptions.anyTable(target: target, task: task) : CSVOptions(target: target, task: task)
    options.features = only.isEmpty ? nil : only.flatMap(\.self)
    options.ignored = ignored.flatMap(\.self)
    options.kept = kept.flatMap(\.self)
    options.categorical = categorical.flatMap(\.self)
    options.id = identification.id
    options.weights = rows.weights
    options.centersLargeNumbers = infers || centers
    options.decimal = decimal ?? "."
    options.thousands = thousands
    options.missingTexts += missingValues.flatMap(\.self)
    options.skipsBadRows = rows.skipBadRows
    switch missing {
    case nil: break
    case .error:
      options.missing = nil
      options.indicatesMissing = false
    case .fill(let strategy): options.missing = strategy
    }
    if let unknown { options.unknownCategory = unknown }
    return options
  }
}

/// How a missing cell of a feature is filled.
enum MissingArgument: Sendable {
  case error
  case fill(Imputation.Strategy)

  /// "error", "mean", "median", "mostFrequent", or a number.
  init(parsing text: String) throws {
    switch text {
    case "error": self = .error
    case "mean": self = .fill(.mean)
    case "median": self = .fill(.median)
    case "mostFrequent": self = .fill(.mostFrequent)
    default:
      guard let number = Double(text), number.isFinite else {
        throw ValidationError("expected mean, median, mostFrequent, a number or error")
      }
      self = .fill(.constant(number))
    }
  }
}

/// Texts separated by commas, as in a row of CSV: one with a comma stands in double quotes.
func parseColumns(_ text: String) throws -> [String] {
  var (columns, current, isQuoted): ([String], String.UnicodeScalarView, Bool) = ([], .init(), false)
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": isQuoted.toggle()
    case "," where !isQuoted:
      columns.append(String(current))
      current = .init()
    default: current.append(scalar)
    }
  }
  columns.append(String(current))
  guard !isQuoted, !columns.contains("") else {
    throw ValidationError(
      "expected texts separated by commas; put a text that contains a comma in double quotes")
  }
  return columns
}

private func parseDelimiter(_ text: String) throws -> Character {
  let named: [String: Character] = ["tab": "\t", "\\t": "\t", "space": " "]
  let delimiter = named[text] ?? (text.count == 1 ? text.first : nil)
  guard let delimiter, delimiter.isASCII, !"\"\r\n+-.0123456789eE".contains(delimiter) else {
    throw ValidationError(
      "expected one ASCII character that cannot be part of a number, such as ; or |, or the word tab or space"
    )
  }
  return delimiter
}

private func parseCharacter(_ text: String, among allowed: String, _ names: String) throws -> Character {
  guard text.count == 1, let character = text.first, allowed.contains(character) else {
    throw ValidationError("expected \(names)")
  }
  return character
}
