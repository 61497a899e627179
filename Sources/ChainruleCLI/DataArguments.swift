import ArgumentParser
import Chainrule
import Foundation

extension DataFile.Format: ExpressibleByArgument {}

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
      "The character between two cells of CSV: \",\" unless given. \"tab\" names the tabulator.",
      valueName: "character"),
    transform: parseDelimiter)
  var delimiter: Character?

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
    // A delimiter is one of CSV; what begins as FANN's data may be that.
    let source = try DataSource(data, format: format ?? (delimiter != nil && isText ? .csv : nil))
    if delimiter != nil { try source.require([.csv], for: "--delimiter") }
    if features != nil { try source.require([.npz], for: "--features") }
    if format != nil, source.format == nil {
      throw ValidationError("--format is for files; \(source) is none")
    }
    return source
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

/// What the columns of CSV hold, where it is not to be seen or not numbers as they stand.
struct ColumnArguments: ParsableArguments {
  @Option(
    help: """
      What the targets are. By default classes where the one target column holds text, or at most 20 different whole \
      numbers that recur.
      """)
  var task = CSVOptions.LearningTask.automatic

  @Option(
    name: .customLong("categorical"), parsing: .singleValue,
    help: ArgumentHelp(
      "Columns of the CSV whose cells name categories, by name or by number from 1, separated by commas; each "
        + "category becomes a feature of 0 and 1.",
      valueName: "columns"),
    transform: parseColumns)
  var categorical: [[String]] = []

  @Option(
    help: ArgumentHelp(
      "What takes the place of missing cells, which are empty or say NA, N/A, NaN, null or ?: the mean, median or "
        + "mostFrequent value of their column, or a number. Of categories it is the most frequent. By default they "
        + "are an error.",
      valueName: "value"),
    transform: Imputation.Strategy.init(parsing:))
  var missing: Imputation.Strategy?

  @Flag(
    help: """
      Leave out the rows of CSV that have another number of cells than the first, quotes that do not close, or cells that \
      are no numbers where there should be, and say how many. By default the first is an error.
      """)
  var skipBadRows = false

  /// Whether the features are not the numbers of the columns as they stand.
  var areEncoded: Bool { !categorical.isEmpty || missing != nil }

  func check(against source: DataSource) throws {
    if task != .automatic { try source.require([.csv, .npy, .npz, .fann], for: "--task") }
    if !categorical.isEmpty { try source.require([.csv], for: "--categorical") }
    if missing != nil { try source.require([.csv], for: "--missing") }
    if skipBadRows { try source.require([.csv], for: "--skip-bad-rows") }
  }
}

private func parseColumns(_ text: String) throws -> [String] {
  let columns = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  guard !columns.contains("") else {
    throw ValidationError("expected names or numbers of columns separated by commas")
  }
  return columns
}

private func parseDelimiter(_ text: String) throws -> Character {
  let delimiter: Character? = text == "tab" || text == "\\t" ? "\t" : text.count == 1 ? text.first : nil
  guard let delimiter, delimiter.isASCII, !"\"\r\n+-.0123456789eE".contains(delimiter) else {
    throw ValidationError("expected one ASCII character that is no part of a number, such as ;, or tab")
  }
  return delimiter
}
