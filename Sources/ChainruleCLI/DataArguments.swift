import ArgumentParser
import Chainrule
import Foundation

extension DataFile.Format: ExpressibleByArgument {}
extension OneHotEncoding.UnknownCategory: ExpressibleByArgument {}

/// Which data a command reads.
struct DataArguments: ParsableArguments {
  @Argument(
    help: """
      A file in CSV, IDX, NumPy's .npy or .npz or FANN's format, gzip-compressed or not, "-" for standard input, or the \
      name of a bundled set: \(bundledNames). A file of such a name needs its folder: ./iris.
      """)
  var data: String

  @Option(
    help: ArgumentHelp(
      "The character between two cells of CSV; \"tab\" and \"space\", any run of spaces and tabs, have names. By default "
        + "the one by which the first lines have the same number of cells.",
      valueName: "character"),
    transform: parseDelimiter)
  var delimiter: Character?

  @Flag(
    inversion: .prefixedNo, exclusivity: .exclusive,
    help:
      "The first row of CSV names the columns, or does not. By default its cells are compared with those below."
  )
  var header: Bool?

  @Option(
    help: ArgumentHelp(
      "The format of the data. By default what the first bytes show: CSV is what has no mark of another.",
      valueName: "format"))
  var format: DataFile.Format?

  @Option(
    help: ArgumentHelp(
      "The array of features in a .npz archive; --target names that of the targets. By default x and y, or other usual "
        + "names.",
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
      throw ValidationError("--format is for files; \(source) is none")
    }
    return source
  }

  /// The same of CSV's options, which say how its text is read.
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

/// What is to be predicted from the data.
struct TargetArguments: ParsableArguments {
  @Option(
    name: .customLong("target"), parsing: .singleValue,
    help: ArgumentHelp(
      "A column to predict, by name or by number from 1, which may be given more than once; of a .npz archive, the array. "
        + "By default the last column.",
      valueName: "column"))
  var targets: [String] = []

  @Option(
    help: ArgumentHelp(
      "The file of the targets of the same rows: of an IDX file of images the one of their labels, by default the file "
        + "that MNIST's naming gives, labels-idx1 beside images-idx3; of a .npy file another.",
      valueName: "file"))
  var labels: String?

  func check(against source: DataSource) throws {
    if !targets.isEmpty { try source.require([.csv, .npy, .npz], for: "--target") }
    if labels != nil { try source.require([.idx, .npy], for: "--labels") }
    if labels != nil, !targets.isEmpty {
      throw ValidationError("--target does not go with --labels, a file of nothing but targets")
    }
  }
}

/// What the columns of CSV are, where their cells do not show it.
struct ColumnArguments: ParsableArguments {
  @Option(
    help: """
      What the targets are. By default classes where the one target column holds text, or at most 20 different whole \
      numbers that recur; several columns of 0 and 1 are labels that a row has or not (multilabel).
      """)
  var task = CSVOptions.LearningTask.automatic

  @Option(
    name: .customLong("ignore"), parsing: .singleValue,
    help: ArgumentHelp(
      "Columns to leave out, by name or by number from 1, separated by commas; quote a name with a comma.",
      valueName: "columns"),
    transform: parseColumns)
  var ignored: [[String]] = []

  @Option(
    name: .customLong("only"), parsing: .singleValue,
    help: ArgumentHelp(
      "The columns to predict from. By default all that have no other role.", valueName: "columns"),
    transform: parseColumns)
  var only: [[String]] = []

  @Option(
    name: .customLong("keep"), parsing: .singleValue,
    help: ArgumentHelp(
      "Columns that stay although they are the same in every row, number the rows, or are another text in each.",
      valueName: "columns"),
    transform: parseColumns)
  var kept: [[String]] = []

  @Option(
    name: .customLong("categorical"), parsing: .singleValue,
    help: ArgumentHelp(
      "Columns whose cells name categories although they are numbers; each category becomes a feature of 0 and 1. Columns "
        + "of text are so by default.",
      valueName: "columns"),
    transform: parseColumns)
  var categorical: [[String]] = []

  @Option(help: ArgumentHelp("A column that identifies the rows, and is no feature.", valueName: "column"))
  var id: String?

  @Option(
    help: ArgumentHelp("A column with the weight of each row in the loss, at least 0.", valueName: "column"))
  var weights: String?

  @Option(
    help: ArgumentHelp(
      "What takes the place of missing numbers: the mean, median or mostFrequent value of their column, or a number; or "
        + "error. One more feature says that they are missing, as it does for categories. (default: median)",
      valueName: "value"),
    transform: MissingArgument.init(parsing:))
  var missing: MissingArgument?

  @Option(
    name: .customLong("missing-values"), parsing: .singleValue,
    help: ArgumentHelp(
      "More texts or numbers of a missing cell, such as -999, separated by commas; besides an empty cell, "
        + CSVOptions.usualMissingTexts.dropFirst().joined(separator: ", ") + ".",
      valueName: "texts"),
    transform: parseColumns)
  var missingValues: [[String]] = []

  @Option(
    help: """
      What becomes of a category that was not seen in training, now and when the model predicts: its features are all zeros, \
      which is counted, or it is an error. (default: zeros)
      """)
  var unknown: OneHotEncoding.UnknownCategory?

  @Option(
    help: ArgumentHelp(
      "The character before the fraction of a number: \".\" or \",\". (default: .)", valueName: "character"),
    transform: { try parseCharacter($0, among: ".,", "\".\" or \",\"") })
  var decimal: Character?

  @Option(
    help: ArgumentHelp(
      "The character between groups of three digits, such as \",\" or \"'\". By default there is none.",
      valueName: "character"),
    transform: { try parseCharacter($0, among: ",.' _", "one of , . ' _ and space") })
  var thousands: Character?

  @Flag(
    help: """
      Leave out the rows of CSV that have another number of cells than the first, quotes that do not close, or cells that \
      are no numbers where there should be, and say how many. By default the first is an error.
      """)
  var skipBadRows = false

  /// The options of CSV alone, and whether each is given.
  private var ofCSV: [(String, Bool)] {
    [
      ("--ignore", !ignored.isEmpty), ("--only", !only.isEmpty), ("--keep", !kept.isEmpty),
      ("--categorical", !categorical.isEmpty), ("--id", id != nil), ("--weights", weights != nil),
      ("--missing", missing != nil), ("--missing-values", !missingValues.isEmpty),
      ("--unknown", unknown != nil),
      ("--decimal", decimal != nil), ("--thousands", thousands != nil), ("--skip-bad-rows", skipBadRows),
    ]
  }

  func check(against source: DataSource) throws {
    if task != .automatic { try source.require([.csv, .npy, .npz, .fann], for: "--task") }
    for (option, isGiven) in ofCSV where isGiven { try source.require([.csv], for: option) }
  }

  /// How a table is read. `infers` whether the columns' cells decide what they are, where no option does.
  func options(target: [String], infers: Bool, centers: Bool) -> CSVOptions {
    var options =
      infers ? CSVOptions.anyTable(target: target, task: task) : CSVOptions(target: target, task: task)
    options.features = only.isEmpty ? nil : only.flatMap(\.self)
    options.ignored = ignored.flatMap(\.self)
    options.kept = kept.flatMap(\.self)
    options.categorical = categorical.flatMap(\.self)
    options.id = id
    options.weights = weights
    options.centersLargeNumbers = infers || centers
    options.decimal = decimal ?? "."
    options.thousands = thousands
    options.missingTexts += missingValues.flatMap(\.self)
    options.skipsBadRows = skipBadRows
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

/// What becomes of a missing cell of a feature.
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
    throw ValidationError("expected texts separated by commas; one with a comma stands in double quotes")
  }
  return columns
}

private func parseDelimiter(_ text: String) throws -> Character {
  let named: [String: Character] = ["tab": "\t", "\\t": "\t", "space": " "]
  let delimiter = named[text] ?? (text.count == 1 ? text.first : nil)
  guard let delimiter, delimiter.isASCII, !"\"\r\n+-.0123456789eE".contains(delimiter) else {
    throw ValidationError(
      "expected one ASCII character that is no part of a number, such as ;, or tab, or space")
  }
  return delimiter
}

private func parseCharacter(_ text: String, among allowed: String, _ names: String) throws -> Character {
  guard text.count == 1, let character = text.first, allowed.contains(character) else {
    throw ValidationError("expected \(names)")
  }
  return character
}
